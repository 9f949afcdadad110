//! The compose file holds together: every file that it mounts exists, images are pinned, every service is checked.

use serde_json::Value;

use crate::s3::{ACCESS, BUCKET, S3, SECRET, shows};
use crate::support::{Daemon, Running, firedrill, repository, stderr, stdout};

fn compose() -> Value {
    let text = std::fs::read_to_string(repository("docker-compose.monitoring.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn all_services_are_pinned_and_checked() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for name in ["firedrill", "prometheus", "alertmanager", "grafana", "minio"] {
        let service = services.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert!(service["healthcheck"]["test"].is_array() || service["healthcheck"]["test"].is_string(), "{name}");
        if let Some(image) = service["image"].as_str().filter(|_| service["build"].is_null()) {
            let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
            assert!(tag != "latest" && tag.chars().any(|c| c.is_ascii_digit()), "{image}");
        }
    }
    let ports = services["grafana"]["ports"].to_string();
    assert!(ports.contains("3001:3000"), "{ports}");
}

#[test]
fn every_mounted_file_exists() {
    let compose = compose();
    let mut seen = 0;
    for (name, service) in compose["services"].as_object().unwrap() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().map_or_else(
                || volume["source"].as_str().unwrap_or_default().to_owned(),
                |text| text.split(':').next().unwrap().to_owned(),
            );
            if let Some(path) = source.strip_prefix("./") {
                assert!(repository(path).exists(), "{name} mounts {source}, which is not there");
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn the_daemon_runs_without_rights() {
    let service = &compose()["services"]["firedrill"];
    assert_eq!(service["read_only"], true);
    assert!(service["cap_drop"].to_string().contains("ALL"));
    let image = std::fs::read_to_string(repository("Dockerfile")).unwrap();
    assert!(image.lines().any(|line| line.starts_with("USER ") && !line.contains("root")));
}

#[test]
fn prometheus_accepts_its_configuration() {
    let place = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repository("config/prometheus.yml")).unwrap();
    let alerts = repository("alerts");
    let text = text.replace("/etc/prometheus/alerts", alerts.to_str().unwrap());
    let file = place.path().join("prometheus.yml");
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new("promtool").args(["check", "config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}{}", crate::support::stdout(&output), crate::support::stderr(&output));
}

/// What the service `minio-bucket` makes is what firedrill watches there, with keys of the environment.
#[tokio::test]
async fn the_bucket_for_states_is_watched_beside_the_demo() {
    let services = compose()["services"].clone();
    let making = services["minio-bucket"]["command"].to_string();
    assert!(making.contains("mb --ignore-existing local/tfstate") && making.contains("version enable local/tfstate"));
    assert!(services["firedrill"]["command"].to_string().contains("--config.file=/etc/firedrill/compose-demo.toml"));
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    for name in ["compose.toml", "compose-demo.toml"] {
        let file = repository(&format!("config/{name}"));
        let output = firedrill().args(["check-config", "--config.file"]).arg(file).envs(keys).output().unwrap();
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    }
    let server = S3::weed().await;
    server.boto(&format!("{BUCKET}put('prod.tfstate', state(7))\n"));
    let place = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repository("config/compose-demo.toml")).unwrap();
    let file = place.path().join("demo.toml");
    std::fs::write(&file, text.replace("http://minio:9000", &server.url)).unwrap();
    let demo = format!("--demo={}", place.path().join("demo").display());
    let mut command = firedrill();
    command.args(["serve", &demo, "--web.listen-address", "127.0.0.1:0", "--config.file"]).arg(&file);
    command.envs(keys).stdout(std::process::Stdio::null());
    let daemon = Daemon::listening(Running::start(command)).await;
    shows(
        &daemon,
        &[
            "firedrill_bucket_versioning_enabled{source=\"minio\",bucket=\"tfstate\"} 1",
            "firedrill_tfstate_serial{source=\"minio\",item=\"tfstate/prod\"} 7",
        ],
    )
    .await;
    assert!(daemon.metrics().await.contains("source=\"cluster\""));
}
