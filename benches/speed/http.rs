//! The smallest HTTP client, so that what is measured is the server.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Nothing is waited for longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// An address on loopback that was free a moment ago.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

fn try_get(address: &str, path: &str, gzip: bool) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let coding = if gzip { "gzip" } else { "identity" };
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::with_capacity(1 << 20);
    stream.read_to_end(&mut answer).ok()?;
    answer.starts_with(b"HTTP/1.1 200").then_some(answer)
}

/// The whole answer, which must be 200.
pub fn get(address: &str, path: &str, gzip: bool) -> Vec<u8> {
    try_get(address, path, gzip).unwrap_or_else(|| panic!("no answer from {address}{path}"))
}

/// Waits until a page answers 200.
pub fn wait_for(address: &str, path: &str) {
    wait(path, || try_get(address, path, false).is_some());
}

/// Waits until `/metrics` holds a text so many times.
pub fn wait_for_text(address: &str, text: &str, times: usize) {
    wait(text, || String::from_utf8_lossy(&get(address, "/metrics", false)).matches(text).count() == times);
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
