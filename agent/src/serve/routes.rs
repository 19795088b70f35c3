//! The endpoints and their handlers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::connection::{ConnectionState, Place};
use super::events_query::EventsQuery;
use super::params::params;
use super::pieces::Pieces;
use super::refusal::Refusal;
use super::{Limits, Services, Shutdown, compress, events};
use crate::export::status_json::status_json;

const KUBELET_METRICS: &str = "/metrics/cadvisor";

/// The endpoints, as the index lists them.
const ENDPOINTS: &[(&str, &str)] = &[
    ("/metrics", "counters of every cgroup, for Prometheus"),
    (KUBELET_METRICS, "the same with the labels of a kubelet's cAdvisor"),
    ("/events", "cgroups made and removed, OOM kills; ?follow=1 goes on"),
    ("/healthz", "whether the agent runs"),
    ("/readyz", "whether it is ready"),
    ("/status", "hooks, sources, runtimes, sinks and counts"),
];

#[derive(Clone)]
struct App {
    services: Services,
    limits: Limits,
    shutdown: Shutdown,
    scrapes: Arc<Semaphore>,
}

pub(super) fn router(services: Services, limits: Limits, shutdown: Shutdown) -> Router {
    let app = App { services, limits, shutdown, scrapes: Arc::new(Semaphore::new(limits.max_scrapes)) };
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(scrape))
        .route(KUBELET_METRICS, get(scrape))
        .route("/events", get(follow))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(app.clone(), count_bad))
        .with_state(app)
}

async fn count_bad(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let bad = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
    if bad.contains(&response.status()) {
        app.services.agent.telemetry.http_bad_requests.inc();
    }
    response
}

fn no_parameters(RawQuery(query): &RawQuery) -> Result<(), Refusal> {
    params(query.as_deref(), &[]).map(drop)
}

async fn index(query: RawQuery) -> Result<String, Refusal> {
    no_parameters(&query)?;
    let lines = ENDPOINTS.iter().map(|(path, about)| format!("{path:19}{about}\n"));
    Ok(format!("cgtap {}\n\n{}", env!("CARGO_PKG_VERSION"), lines.collect::<String>()))
}

async fn scrape(
    State(app): State<App>,
    Extension(connection): Extension<Arc<ConnectionState>>,
    uri: Uri,
    query: RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    no_parameters(&query)?;
    let Services { metrics, kubelet_metrics, .. } = &app.services;
    let source = if uri.path() == KUBELET_METRICS { kubelet_metrics } else { metrics };
    let Ok(permit) = Arc::clone(&app.scrapes).try_acquire_owned() else {
        app.services.agent.telemetry.http_refused.inc();
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many scrapes at once"));
    };
    let place = Place { permit: Some(permit), connection };
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept: Vec<&str> = accept.collect();
    let telemetry = &*app.services.agent.telemetry;
    let failed = |err: String| {
        telemetry.http_failed_scrapes.inc();
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, err)
    };
    let scraped = source.scrape((!accept.is_empty()).then(|| accept.join(",")), telemetry).await;
    let exposition = scraped.map_err(failed)?;
    let gzip = compress::accepts_gzip(&headers);
    let pieces = Pieces::start(exposition.write, gzip, place).await;
    let pieces = pieces.map_err(|err| failed(err.to_string()))?;
    Ok(compress::answer(exposition.content_type, gzip, Body::from_stream(pieces.stream())))
}

async fn follow(
    State(app): State<App>,
    Extension(connection): Extension<Arc<ConnectionState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = EventsQuery::parse(query.as_deref(), &headers)?;
    let followers = usize::try_from(app.services.agent.events.followers()).unwrap_or(usize::MAX);
    if followers >= app.limits.max_followers {
        app.services.agent.telemetry.http_refused.inc();
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many followers at once"));
    }
    connection.set_follows();
    Ok(events::respond(query, &app.services, &app.limits, app.shutdown))
}

async fn healthz(State(app): State<App>, query: RawQuery) -> Result<&'static str, Refusal> {
    no_parameters(&query)?;
    let dead =
        || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the thread of the event path no longer runs");
    if app.services.liveness.is_alive() { Ok("ok\n") } else { Err(dead()) }
}

async fn readyz(State(app): State<App>, query: RawQuery) -> Result<Response, Refusal> {
    no_parameters(&query)?;
    let awaited = app.services.readiness.awaited();
    if awaited.is_empty() {
        return Ok("ok\n".into_response());
    }
    let body = serde_json::json!({ "error": "not ready yet", "awaited": awaited }).to_string() + "\n";
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response())
}

async fn status(State(app): State<App>, query: RawQuery, headers: HeaderMap) -> Result<Response, Refusal> {
    no_parameters(&query)?;
    let json = status_json(&app.services.agent.status());
    let json = json.map_err(|err| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, err.to_string()))?;
    Ok(compress::respond("application/json", Bytes::from(json), &headers))
}

async fn unknown_path(uri: Uri) -> Refusal {
    let paths: Vec<&str> = ENDPOINTS.iter().map(|(path, _)| *path).collect();
    Refusal::new(StatusCode::NOT_FOUND, format!("no such path: {}", uri.path())).allowing(&paths)
}

async fn unknown_method(method: Method) -> Refusal {
    let error = format!("method {method} is not served here");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error).allowing(&["GET", "HEAD"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_every_endpoint() {
        let readme = include_str!("../../../README.md");
        for (path, _) in ENDPOINTS {
            assert!(readme.contains(&format!("`{path}`")), "{path}");
        }
    }
}
