//! What MinIO says of itself: no server of it runs here, so a stand-in says it in front of another one.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// Answers for `/minio/health/…` as MinIO does (facts of `cmd/healthcheck-handler.go`), and hands on everything else.
pub struct Minio {
    pub url: String,
    /// What `/minio/health/cluster` answers with; 0: every connection is cut off.
    cluster: watch::Sender<u16>,
}

impl Minio {
    pub async fn before(server: &S3) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ((cluster, says), target) = (watch::channel(200), server.url.trim_start_matches("http://").to_owned());
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (target, mut says) = (target.clone(), says.clone());
                tokio::spawn(async move {
                    let status = *says.borrow();
                    tokio::select! {
                        biased;
                        _ = says.wait_for(|status| *status == 0) => {}
                        () = serve(from, target, status) => {}
                    }
                });
            }
        });
        Self { url, cluster }
    }

    fn says(&self, status: u16) {
        self.cluster.send_replace(status);
    }
}

async fn serve(mut from: TcpStream, target: String, cluster: u16) {
    if cluster == 404 {
        // What a proxy says whose server is gone.
        let _ = from.read(&mut [0; 4096]).await;
        let _ = from.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        return;
    }
    let mut head = [0; 64];
    let Ok(count) = from.peek(&mut head).await else { return };
    let head = String::from_utf8_lossy(&head[..count]).into_owned();
    let Some(check) = head.strip_prefix("GET /minio/health/") else {
        if let Ok(mut to) = TcpStream::connect(&target).await {
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        }
        return;
    };
    let status = if check.starts_with("cluster") { cluster } else { 200 };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nServer: MinIO\r\nX-Minio-Write-Quorum: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let _ = from.read(&mut [0; 4096]).await;
    let _ = from.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn a_server_that_tells_is_asked_and_others_are_not_blamed() {
    let server = S3::weed().await;
    server.boto(&format!(
        "s3.create_bucket(Bucket='locked', ObjectLockEnabledForBucket=True)\n\
         rule = {{'ObjectLockEnabled': 'Enabled', 'Rule': {{'DefaultRetention': {{'Mode': 'GOVERNANCE', 'Days': 30}}}}}}\n\
         s3.put_object_lock_configuration(Bucket='locked', ObjectLockConfiguration=rule)\n\
         {BUCKET}put('prod.tfstate', state(1))\nput('b.tfstate', state(1), 'locked')\n"
    ));
    let minio = Minio::before(&server).await;
    let place = tempfile::tempdir().unwrap();
    let config = configuration(place.path(), &minio.url);
    let text = std::fs::read_to_string(&config).unwrap();
    let other = text[text.find("[[s3]]").unwrap()..].replace("\"minio\"", "\"weed\"").replace(&minio.url, &server.url);
    let both = "states = [{ bucket = \"tfstate\" }, { bucket = \"locked\" }]";
    let text = text.replace("states = [{ bucket = \"tfstate\" }]", both);
    std::fs::write(&config, format!("{text}{other}")).unwrap();
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    let health = |check: &str, value: u8| format!("firedrill_s3_healthy{{source=\"minio\",check=\"{check}\"}} {value}");
    shows(
        &daemon,
        &[
            &health("live", 1),
            &health("cluster", 1),
            "firedrill_bucket_object_lock_enabled{source=\"minio\",bucket=\"locked\"} 1",
            "firedrill_bucket_retention_seconds{source=\"minio\",bucket=\"locked\"} 2592000",
            "firedrill_bucket_object_lock_enabled{source=\"minio\",bucket=\"tfstate\"} 0",
            "firedrill_bucket_versioning_enabled{source=\"weed\",bucket=\"tfstate\"} 1",
        ],
    )
    .await;
    assert!(!daemon.metrics().await.contains("firedrill_s3_healthy{source=\"weed\""));
    minio.says(503);
    shows(&daemon, &[&health("live", 1), &health("cluster", 0), "firedrill_source_up{source=\"minio\",kind=\"s3\"} 1"])
        .await;
    minio.says(0);
    shows(&daemon, &[&health("live", 0), &health("cluster", 0), "firedrill_source_up{source=\"minio\",kind=\"s3\"} 0"])
        .await;
    minio.says(200);
    shows(&daemon, &[&health("live", 1), &health("cluster", 1), "firedrill_source_up{source=\"minio\",kind=\"s3\"} 1"])
        .await;
    // A proxy that answers in its place says nothing well of it.
    minio.says(404);
    shows(&daemon, &[&health("live", 0), &health("cluster", 0)]).await;
}
