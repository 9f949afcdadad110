use std::net::Ipv4Addr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::domain::connections::Connections;

/// A hall with the far ends of those who entered.
struct Rig {
    hall: Arc<Hall>,
    counts: Arc<Connections>,
    listener: TcpListener,
}

/// Somebody in the hall, and the client's end.
struct Visitor {
    guest: Guest,
    client: TcpStream,
}

impl Visitor {
    async fn goes(&self) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, self.guest.0.told_to_go()).await.is_ok()
    }
}

impl Rig {
    async fn new(room: usize) -> Self {
        let counts = Arc::<Connections>::default();
        let hall = Arc::new(Hall::new(room, 4, Notes::new(counts.clone())));
        Self { hall, counts, listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// Lets somebody in as if it came from 192.0.2.`last`.
    async fn enter(&self, last: u8) -> Visitor {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = self.listener.accept().await.unwrap();
        let from = SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), 1));
        Visitor { guest: self.hall.enter(from, Arc::new(stream)), client }
    }

    fn made_room(&self) -> u64 {
        self.counts.counts()[0]
    }
}

#[tokio::test]
async fn who_opens_many_shuts_out_itself_alone() {
    let rig = Rig::new(4).await;
    let other = rig.enter(1).await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(rig.enter(2).await);
    }
    assert!(!other.goes().await);
    for (index, visitor) in crowd.iter().enumerate() {
        assert_eq!(visitor.goes().await, index < 17, "the oldest go first: {index}");
    }
    let third = rig.enter(3).await;
    assert!(!other.goes().await && !third.goes().await);
    assert!(crowd[17].goes().await);
    assert_eq!(rig.made_room(), 18);
}

#[tokio::test]
async fn who_said_something_stays_longer_than_who_is_silent_and_who_is_answered_stays() {
    let rig = Rig::new(3).await;
    let mut asked = rig.enter(1).await;
    asked.client.write_all(b"GET").await.unwrap();
    asked.guest.0.silent().as_ref().unwrap().readable().await.unwrap();
    let answered = rig.enter(1).await;
    answered.guest.0.stand_up();
    let answering = answered.guest.0.begin();
    let silent = rig.enter(1).await;
    let new = rig.enter(1).await;
    assert!(silent.goes().await && !asked.goes().await && !answered.goes().await && !new.goes().await);
    // The next one finds one silent still; after it nobody is.
    new.guest.0.stand_up();
    asked.guest.0.stand_up();
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    asked.guest.0.touch();
    let newer = rig.enter(1).await;
    newer.guest.0.stand_up();
    assert!(newer.goes().await || new.goes().await, "the one that did the least");
    assert!(!answered.goes().await && !asked.goes().await);
    drop(answering);
}

#[tokio::test]
async fn seats_are_given_back() {
    let rig = Rig::new(2).await;
    for _ in 0..3 {
        let _both = (rig.enter(1).await, rig.enter(2).await);
    }
    assert_eq!(rig.made_room(), 0);
    rig.hall.empty().await;
    let (_one, two) = (rig.enter(1).await, rig.enter(1).await);
    let _three = rig.enter(2).await;
    drop(two);
    assert!(rig.hall.inner().leaving == 1 && rig.hall.inner().groups.len() == 1);
    rig.hall.shrink(16);
    assert!(rig.hall.inner().seats.is_empty() && rig.hall.inner().groups.is_empty());
}

#[tokio::test]
async fn no_more_are_accepted_while_many_are_on_their_way_out() {
    let rig = Rig::new(1).await;
    let mut crowd = Vec::new();
    for _ in 0..MOST_LEAVING + 2 {
        crowd.push(rig.enter(1).await);
    }
    assert!(tokio::time::timeout(std::time::Duration::ZERO, rig.hall.settled()).await.is_err());
    drop(crowd.remove(0));
    rig.hall.settled().await;
}
