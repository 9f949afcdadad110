//! Answers a request when it is its turn.
//!
//! A request has a place until its answer is made, and a turn while it is worked on: until it first waits for something.
//! A neighbourhood has a share of the places and few turns, so that what others ask is never behind all that one client
//! asks. Sending the answer takes neither.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use tokio::task::yield_now;
use tower::ServiceExt as _;

use super::hall::Seat;

pub(super) async fn answer(routes: Router, request: Request<Incoming>, seat: Arc<Seat>) -> Response {
    seat.ask();
    let _place = seat.place().await;
    let work = async {
        let _answering = seat.begin();
        routes.oneshot(request.map(Body::new)).await
    };
    match in_turn(&seat, work).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Begins some work when it is its turn, and gives the turn back when it ends or first waits.
pub(super) async fn in_turn<T>(seat: &Seat, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let begun = {
        let _turn = seat.turn().await;
        // The turn is kept while others do something: else all that are ready would stand in one queue before those of
        // other neighbourhoods, and nobody would ever wait for a turn. It also ends the stride of a client that sends
        // requests without waiting for answers.
        yield_now().await;
        poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await
    };
    match begun {
        Poll::Ready(done) => done,
        Poll::Pending => work.await,
    }
}
