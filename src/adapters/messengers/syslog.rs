//! Syslog by RFC 5424: over UDP, TCP with octet counting (RFC 6587), or a Unix datagram socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, lookup_host};

use crate::domain::notice::{Message, Phase, Urgency};
use crate::domain::printable::shown;
use crate::engine::ports::notices::{Messenger, Sent};

/// Larger datagrams may be fragmented, and then are often lost.
const MOST_UDP: usize = 1_399;

/// Longest message of the other transports: what common receivers take.
const MOST_OTHER: usize = 8_000;

/// To resolve a name, connect and write.
const PATIENCE: Duration = Duration::from_secs(10);

/// The number that RFC 5612 keeps for documentation; there is none of our own.
const ENTERPRISE: u32 = 32_473;

/// How to reach the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// `HOST:PORT`. Loss goes unnoticed.
    Udp(String),
    /// `HOST:PORT`.
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

/// A syslog receiver.
#[derive(Debug)]
pub struct Syslog {
    transport: Transport,
    /// 0 to 23.
    facility: u8,
    host: Arc<str>,
}

impl Syslog {
    /// `facility` from 0 to 23; `host` is this machine's name.
    pub fn new(transport: Transport, facility: u8, host: &str) -> Self {
        let plain: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
        Self { transport, facility, host: if plain.is_empty() { "-".into() } else { plain.into() } }
    }

    async fn deliver(&self, message: &Message) -> Sent {
        let written = tokio::time::timeout(PATIENCE, self.write(message)).await;
        match written {
            Ok(Ok(())) => Sent::Ok { remote_id: None, said: "written; syslog has no answer".into(), note: None },
            Ok(Err(error)) => {
                Sent::RetryLater { after: None, why: format!("writing failed: {error}").into(), unsure: false }
            }
            Err(_) => Sent::RetryLater { after: None, why: "it did not take it in time".into(), unsure: true },
        }
    }

    async fn write(&self, message: &Message) -> std::io::Result<()> {
        match &self.transport {
            Transport::Udp(address) => {
                let target = lookup_host(address).await?.next();
                let target = target.ok_or_else(|| std::io::Error::other("the name has no address"))?;
                let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(target).await?;
                socket.send(self.line(message, MOST_UDP).as_bytes()).await.map(drop)
            }
            Transport::Tcp(address) => {
                let line = self.line(message, MOST_OTHER);
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(format!("{} {line}", line.len()).as_bytes()).await?;
                stream.shutdown().await
            }
            Transport::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.send_to(self.line(message, MOST_OTHER).as_bytes(), path).await.map(drop)
            }
        }
    }

    /// The whole message, not longer than `most` bytes.
    fn line(&self, message: &Message, most: usize) -> String {
        let notice = &message.notice;
        let severity = match (notice.phase, notice.severity) {
            (Phase::Recovered, _) => 5,
            (_, Urgency::Critical) => 2,
            (_, Urgency::Warning) => 4,
            (_, Urgency::Info) => 6,
        };
        let priority = u16::from(self.facility) * 8 + severity;
        let time = notice.at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
        let mut data =
            format!("[notice@{ENTERPRISE} topic=\"{}\" phase=\"{}\"", notice.topic.as_str(), notice.phase.as_str());
        let source = notice.source.as_ref().map(ToString::to_string);
        let item = notice.item.as_ref().map(ToString::to_string);
        for (name, value) in [("source", source), ("item", item), ("key", Some(notice.key.to_string()))] {
            if let Some(value) = value {
                data.push_str(&format!(" {name}=\"{}\"", parameter(&value)));
            }
        }
        let body = message.body();
        let text = if body.is_empty() { message.headline() } else { format!("{}: {body}", message.headline()) };
        let head = format!(
            "<{priority}>1 {time} {} firedrill {} {} {data}]",
            self.host,
            std::process::id(),
            notice.topic.as_str()
        );
        let line = format!("{head} {}", text.replace('\n', " "));
        line[..boundary(&line, most)].to_owned()
    }
}

/// The largest length up to `most` that ends between characters.
fn boundary(text: &str, most: usize) -> usize {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// A value of structured data, cut so that the message keeps room.
fn parameter(text: &str) -> String {
    let text = shown(text);
    text[..boundary(&text, 200)].replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

impl Messenger for Syslog {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(self.deliver(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Notice;
    use crate::domain::notice::dedup::Why;
    use crate::domain::notice::tests::notice;

    fn line(notice: Notice, most: usize) -> String {
        let syslog = Syslog::new(Transport::Unix("/dev/log".into()), 16, "bk 1");
        syslog.line(&Message { notice, why: Why::First, reply_to: None, parts: Vec::new() }, most)
    }

    #[test]
    fn it_is_a_line_of_rfc_5424() {
        let hostile = Notice { key: "k]\"\\\n".into(), title: "a\nb\u{202e}".into(), ..notice("a") };
        let text = line(hostile, MOST_UDP);
        let pid = std::process::id();
        let expected = format!(
            "<132>1 2026-11-21T08:00:00.000000Z bk1 firedrill {pid} backup [notice@32473 topic=\"backup\" phase=\"problem\" \
             source=\"cluster\" item=\"qemu/100\" key=\"k\\]\\\"\\\\\\\\n\"] WARNING: a\\nb\\u{{202e}}"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn it_is_cut_between_characters() {
        let text = line(Notice { body: "é".repeat(3_000).into(), ..notice("a") }, MOST_UDP);
        assert!(text.len() <= MOST_UDP && text.len() > MOST_UDP - 2 && text.ends_with('é'));
    }
}
