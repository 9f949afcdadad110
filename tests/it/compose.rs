//! The compose file holds together: every file that it mounts exists, images are pinned, every service is checked.

use serde_json::Value;

use crate::support::repository;

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
