//! Over real sockets: every endpoint, every bad input, and clients that misbehave.

mod bad_input;
mod bind;
mod endpoints;
mod limits;
mod scrape;
mod stream;
mod support;
