//! `GET /v1/connect`: from an HTTP request to a WebSocket.

use std::sync::Arc;

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::body::{Body, full};
use super::text;
use crate::admission::ConnectionPermit;
use crate::codec::Encoding;
use crate::core::Core;
use crate::handshake::{self, MAX_HELLO_BYTES};
use crate::paced::Paced;
use crate::socket::Socket;

/// Where clients connect.
pub(crate) const PATH: &str = "/v1/connect";

/// Answers a request for [`PATH`].
pub(crate) fn answer(
    core: &Arc<Core>,
    permit: &ConnectionPermit,
    draining: bool,
    request: Request<Incoming>,
) -> Response<Body> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    if draining {
        return text(StatusCode::SERVICE_UNAVAILABLE, "this gateway is being stopped; connect again\n");
    }
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let asks = has_token(headers, UPGRADE, "websocket") && has_token(headers, CONNECTION, "upgrade");
    let Some(key) = key.filter(|_| asks) else {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket\n");
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        return response;
    };
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut response = text(StatusCode::UPGRADE_REQUIRED, "only WebSocket version 13\n");
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    }
    let offered = tokens(headers, SEC_WEBSOCKET_PROTOCOL);
    let chosen = offered.iter().find_map(|name| Encoding::of_subprotocol(name));
    if chosen.is_none() && !offered.is_empty() {
        return text(StatusCode::BAD_REQUEST, "subprotocols are tidings.v1.protobuf and tidings.v1.json\n");
    }

    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let Ok(accept) = accept else { return text(StatusCode::BAD_REQUEST, "the WebSocket key is none\n") };
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(encoding) = chosen {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(encoding.subprotocol()));
    }
    let (core, permit, encoding) = (core.clone(), permit.clone(), chosen.unwrap_or(Encoding::Protobuf));
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => Box::pin(upgraded_to(core, upgraded, encoding, permit)).await,
            Err(error) => tracing::debug!(%error, "a client went away during the upgrade"),
        }
    });
    response
}

/// Takes the bare transport out of hyper's wrapper, which would cost memory for as long as the session lives.
async fn upgraded_to(core: Arc<Core>, upgraded: Upgraded, encoding: Encoding, permit: ConnectionPermit) {
    match upgraded.downcast::<TokioIo<Paced<TcpStream>>>() {
        Ok(parts) => {
            let socket = Socket::new(parts.io.into_inner().into_inner(), &parts.read_buf, MAX_HELLO_BYTES);
            handshake::run(core, socket, encoding, permit).await;
        }
        Err(upgraded) => match upgraded.downcast::<TokioIo<Paced<Box<TlsStream<TcpStream>>>>>() {
            Ok(parts) => {
                let socket = Socket::new(parts.io.into_inner().into_inner(), &parts.read_buf, MAX_HELLO_BYTES);
                handshake::run(core, socket, encoding, permit).await;
            }
            Err(_) => tracing::error!("an upgraded connection is neither TCP nor TLS"),
        },
    }
}

fn tokens(headers: &HeaderMap, name: HeaderName) -> Vec<&str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty()).collect()
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, name).iter().any(|found| found.eq_ignore_ascii_case(token))
}
