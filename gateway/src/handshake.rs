//! From an upgraded connection to a session: `Hello`, the token, the limits. Runs in a task of its own, so that nothing
//! of it stays behind in the session's.

use std::sync::Arc;

use tidings_proto::client::v1::{Hello, client_frame};
use tidings_proto::{DeviceId, ErrorCode};

use crate::admission::ConnectionPermit;
use crate::codec::Encoding;
use crate::connection::{Connection, SessionTask};
use crate::core::Core;
use crate::directory::Refusal;
use crate::registry::SessionGuard;
use crate::session::Close;
use crate::socket::{Socket, SocketEnd, Transport, close_of_protocol};
use crate::websocket::Incoming;

/// A `Hello` is no larger; before it, nobody may make the gateway hold more.
pub(crate) const MAX_HELLO_BYTES: u32 = 4096;
const MAX_AGENT_BYTES: usize = 127;
/// How often a token is asked for that changes while it is admitted.
const ADMISSION_ATTEMPTS: usize = 3;

/// Makes a session of it, or closes it with the reason.
pub(crate) async fn run<S: Transport>(
    core: Arc<Core>,
    mut socket: Socket<S>,
    encoding: Encoding,
    permit: ConnectionPermit,
) {
    let timeout = core.config.handshake_timeout();
    let hello = tokio::time::timeout(timeout, hello(&core, &mut socket, encoding));
    let admitted = match hello.await {
        Ok(Ok(Some(hello))) => admit(&core, &hello).await.map(|(guard, shard)| (hello, guard, shard)),
        // The client went away.
        Ok(Ok(None)) => return,
        Ok(Err(close)) => Err(close),
        Err(_) => Err(Close::new(ErrorCode::HandshakeTimeout, "no Hello in time")),
    };
    match admitted {
        Ok((hello, guard, shard)) => {
            let connection = Connection::new(core, guard, permit, socket, encoding, hello, shard);
            tokio::spawn(SessionTask::Live(connection));
        }
        Err(close) => {
            core.metrics.closed(close.code);
            tracing::debug!(code = close.code.as_str_name(), reason = %close.message, "refusing a client");
            socket.close(encoding, close).await;
            drop(permit);
        }
    }
}

async fn hello<S: Transport>(core: &Core, socket: &mut Socket<S>, encoding: Encoding) -> Result<Option<Hello>, Close> {
    // Pings before Hello are neither forbidden nor of use.
    for _ in 0..8 {
        let (payload, is_text) = match socket.message().await {
            Ok(Incoming::Binary(payload)) => (payload, false),
            Ok(Incoming::Text(payload)) => (payload, true),
            Ok(Incoming::Ping(_) | Incoming::Pong) => continue,
            Ok(Incoming::Close(_)) | Err(SocketEnd::Gone) => return Ok(None),
            Err(SocketEnd::Protocol(error)) => return Err(close_of_protocol(error)),
        };
        let frame = encoding.decode(payload, is_text)?;
        core.metrics.frame_in(&frame);
        return match frame {
            client_frame::Frame::Hello(hello) => checked(hello).map(Some),
            _ => Err(Close::new(ErrorCode::FrameUnexpected, "the first frame is Hello")),
        };
    }
    Err(Close::new(ErrorCode::Flood, "pings instead of Hello"))
}

fn checked(hello: Hello) -> Result<Hello, Close> {
    if hello.version == 0 {
        let message = "Hello.version is missing; this gateway speaks version 1";
        return Err(Close::new(ErrorCode::ProtocolVersionUnsupported, message));
    }
    if !hello.device.is_empty() {
        DeviceId::new(&hello.device).map_err(|error| Close::new(ErrorCode::InvalidArgument, error.to_string()))?;
    }
    if hello.agent.len() > MAX_AGENT_BYTES {
        return Err(Close::new(ErrorCode::InvalidArgument, "Hello.agent has more than 127 bytes"));
    }
    Ok(hello)
}

async fn admit(core: &Arc<Core>, hello: &Hello) -> Result<(SessionGuard, u32), Close> {
    let refused = |refusal: Refusal| Close::new(refusal.code, refusal.message);
    for _ in 0..ADMISSION_ATTEMPTS {
        let token = core.directory.token(&hello.token, &hello.app_id).await.map_err(refused)?;
        let policy = core.directory.last_policy(&token);
        let guard = core
            .registry
            .admit(token.clone(), policy, &hello.device)
            .map_err(|_| Close::new(ErrorCode::TooManyConnections, "the user has as many connections as allowed"))?;
        // From here on a revocation finds the session; one that came before has taken the token out of the cache.
        if core.directory.still_holds(&token) {
            // While the control plane is away, the policy of then will do.
            if let Err(refusal) = core.directory.assign_policy(guard.session()).await
                && !guard.session().policy().is_known()
            {
                return Err(refused(refusal));
            }
            let shard = core.router.shard(token.user.app(), token.user.user());
            let shard = shard.ok_or_else(|| Close::new(ErrorCode::Unavailable, "no shard map is known"))?;
            return Ok((guard, shard));
        }
    }
    Err(Close::new(ErrorCode::Unavailable, "the token changes too often"))
}
