//! How many messages a user and an app may send: the rate limits of their policies, over all devices and, with Redis,
//! over all processes that take messages: gateways, and the control plane's nodes for backends.
//!
//! - `window`: counts over sliding windows; `meter`: one user's or app's use of its limits
//! - `shared`: the same counts in Redis, from where a gateway is granted messages
//!
//! What was sent through this process is always counted here: that alone decides without Redis, or while it is away.
//! With it, a message that the counts here allow also needs a grant. Grants are a few messages at a time where a limit
//! is large, so that most messages wait for nothing.

mod meter;
mod shared;
mod window;

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use tidings_node::cache::Cache;
use tidings_proto::EffectivePolicy;
use tidings_proto::policy::v1::RateLimit;
use tokio::time::Instant;

use meter::Meter;
pub use redis::RedisError;
use shared::{Answer, Away};
pub use shared::{Shared, check_url};

/// Where it is counted what became of messages.
#[derive(Debug, Clone)]
pub struct LimitMetrics {
    /// Messages that a limit held up.
    pub limited_by_user: Counter,
    pub limited_by_app: Counter,
    /// 1 while the shared limits answer.
    pub shared_up: Gauge,
    /// What they answered.
    pub shared_granted: Counter,
    pub shared_refused: Counter,
    pub shared_failed: Counter,
}

impl LimitMetrics {
    /// Counts nothing.
    pub fn noop() -> Self {
        Self {
            limited_by_user: Counter::noop(),
            limited_by_app: Counter::noop(),
            shared_up: Gauge::noop(),
            shared_granted: Counter::noop(),
            shared_refused: Counter::noop(),
            shared_failed: Counter::noop(),
        }
    }
}

/// Whose limit it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOf {
    User,
    App,
}

/// A message that may not be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    pub of: LimitOf,
    /// How long until it may.
    pub wait: Duration,
}

/// The limits that hold for one message. A side without any is not counted.
#[derive(Debug, Clone)]
pub struct Rates {
    /// What the user goes by.
    pub user: Arc<EffectivePolicy>,
    /// The app's policy `default`.
    pub app: Arc<EffectivePolicy>,
}

impl Rates {
    fn user(&self) -> &[RateLimit] {
        &self.user.message_rates
    }

    fn app(&self) -> &[RateLimit] {
        &self.app.app_message_rates
    }
}

/// What can be said at once of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was counted, and may be sent.
    Taken,
    Limited(Limited),
    /// Only [`Limits::ask`] knows.
    Ask,
}

/// A user's meter, and that of its app.
pub struct Meters {
    user: Metered,
    app: Arc<Metered>,
}

/// A meter, and the questions about it one at a time.
struct Metered {
    /// Its key among the shared limits.
    key: String,
    meter: Mutex<Meter>,
    asking: tokio::sync::Mutex<()>,
}

impl Metered {
    fn new(key: String) -> Self {
        Self { key, meter: Mutex::default(), asking: tokio::sync::Mutex::new(()) }
    }
}

/// All meters of a process.
pub struct Limits {
    /// Those that were used last; a user that is not among them begins anew, unless a session of it goes on.
    users: Mutex<Cache<Box<str>, Arc<Meters>>>,
    apps: Mutex<Cache<Box<str>, Arc<Metered>>>,
    shared: Option<Arc<Shared>>,
    started: Instant,
    metrics: LimitMetrics,
}

impl Limits {
    /// Remembers up to `entries` users, and as many apps.
    pub fn new(entries: usize, shared: Option<Arc<Shared>>, metrics: LimitMetrics) -> Arc<Self> {
        let (users, apps) = (Mutex::new(Cache::new(entries)), Mutex::new(Cache::new(entries)));
        Arc::new(Self { users, apps, shared, started: Instant::now(), metrics })
    }

    /// The meters of a user of an app.
    pub fn meters(&self, app: &str, user: &str) -> Arc<Meters> {
        // No id holds a zero byte.
        let key = format!("{app}\0{user}");
        if let Some(meters) = self.users.lock().get(key.as_str()) {
            return meters;
        }
        let of_app = {
            let mut apps = self.apps.lock();
            apps.get(app).unwrap_or_else(|| {
                let metered = Arc::new(Metered::new(format!("app:{app}")));
                apps.insert(app.into(), metered.clone());
                metered
            })
        };
        let mut users = self.users.lock();
        users.get(key.as_str()).unwrap_or_else(|| {
            let meters = Arc::new(Meters { user: Metered::new(format!("user:{key}")), app: of_app });
            users.insert(key.into(), meters.clone());
            meters
        })
    }

    /// Counts a message, or says that it may not be sent now, without waiting for anything.
    pub fn take(&self, meters: &Meters, rates: &Rates) -> Verdict {
        if rates.user().is_empty() && rates.app().is_empty() {
            return Verdict::Taken;
        }
        let (now_ms, shared) = (self.now_ms(), self.shared());
        let (mut user, mut app) = (meters.user.meter.lock(), meters.app.meter.lock());
        if shared.is_none() {
            user.forget_shared();
            app.forget_shared();
        }
        for (of, wait) in
            [(LimitOf::User, user.wait(rates.user(), now_ms)), (LimitOf::App, app.wait(rates.app(), now_ms))]
        {
            if let Some(wait) = wait {
                return Verdict::Limited(self.limited(of, wait));
            }
        }
        if shared.is_some() {
            let granted = |meter: &Meter, limits: &[RateLimit]| limits.is_empty() || meter.has_grant(now_ms);
            if !(granted(&user, rates.user()) && granted(&app, rates.app())) {
                return Verdict::Ask;
            }
            user.use_grant(now_ms);
            app.use_grant(now_ms);
        }
        user.count(now_ms);
        app.count(now_ms);
        Verdict::Taken
    }

    /// Counts a message that needs a grant of the shared limits. Waits for them no longer than they may take.
    pub async fn ask(&self, meters: &Meters, rates: &Rates) -> Result<(), Limited> {
        let Some(shared) = self.shared() else { return self.take_here(meters, rates) };
        match self.grant(shared, &meters.user, rates.user()).await {
            Ok(Ok(())) => {}
            Ok(Err(wait)) => return Err(self.limited(LimitOf::User, wait)),
            Err(Away) => return self.take_here(meters, rates),
        }
        match self.grant(shared, &meters.app, rates.app()).await {
            Ok(Ok(())) => {}
            Ok(Err(wait)) => {
                meters.user.meter.lock().return_grant();
                return Err(self.limited(LimitOf::App, wait));
            }
            Err(Away) => return self.take_here(meters, rates),
        }
        let now_ms = self.now_ms();
        meters.user.meter.lock().count(now_ms);
        meters.app.meter.lock().count(now_ms);
        Ok(())
    }

    /// By the counts of this process alone.
    fn take_here(&self, meters: &Meters, rates: &Rates) -> Result<(), Limited> {
        match self.take(meters, rates) {
            Verdict::Limited(limited) => Err(limited),
            // The shared limits have come back just now: they hold from the next message on.
            Verdict::Taken | Verdict::Ask => Ok(()),
        }
    }

    /// One message of what the shared limits grant, or how long to wait for one.
    async fn grant(
        &self,
        shared: &Arc<Shared>,
        metered: &Metered,
        limits: &[RateLimit],
    ) -> Result<Result<(), Duration>, Away> {
        if limits.is_empty() {
            return Ok(Ok(()));
        }
        let _turn = metered.asking.lock().await;
        let want = {
            let (mut meter, now_ms) = (metered.meter.lock(), self.now_ms());
            if let Some(wait) = meter.wait(limits, now_ms) {
                return Ok(Err(wait));
            }
            // Somebody else has asked meanwhile.
            if meter.use_grant(now_ms) {
                return Ok(Ok(()));
            }
            meter.want(limits, now_ms)
        };
        let answer = shared.take(&metered.key, limits, want).await?;
        let (mut meter, now_ms) = (metered.meter.lock(), self.now_ms());
        Ok(match answer {
            Answer::Granted(granted) => {
                meter.grant(granted, limits, now_ms);
                Ok(())
            }
            Answer::Refused(wait) => {
                meter.refuse(wait, now_ms);
                Err(wait)
            }
        })
    }

    /// The shared limits, while they answer.
    fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref().filter(|shared| shared.is_there())
    }

    fn limited(&self, of: LimitOf, wait: Duration) -> Limited {
        match of {
            LimitOf::User => self.metrics.limited_by_user.increment(1),
            LimitOf::App => self.metrics.limited_by_app.increment(1),
        }
        Limited { of, wait }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(user: &[(u32, u32)], app: &[(u32, u32)]) -> Rates {
        let limits = |of: &[(u32, u32)]| {
            of.iter().map(|(count, seconds)| RateLimit { count: *count, seconds: *seconds }).collect()
        };
        let user = EffectivePolicy { message_rates: limits(user), ..EffectivePolicy::default() };
        let app = EffectivePolicy { app_message_rates: limits(app), ..EffectivePolicy::default() };
        Rates { user: Arc::new(user), app: Arc::new(app) }
    }

    fn limited(verdict: Verdict) -> LimitOf {
        match verdict {
            Verdict::Limited(limited) => limited.of,
            other => panic!("not limited: {other:?}"),
        }
    }

    #[tokio::test]
    async fn users_of_an_app_share_its_limit_and_each_has_its_own() {
        let limits = Limits::new(100, None, LimitMetrics::noop());
        let rates = rates(&[(2, 60)], &[(3, 60)]);
        let [alice, bob, other] =
            [("app", "alice"), ("app", "bob"), ("other", "alice")].map(|(app, user)| limits.meters(app, user));
        assert_eq!(limits.take(&alice, &rates), Verdict::Taken);
        assert_eq!(limits.take(&alice, &rates), Verdict::Taken);
        assert_eq!(limited(limits.take(&alice, &rates)), LimitOf::User);
        // What is refused to one is not counted for all.
        assert_eq!(limits.take(&bob, &rates), Verdict::Taken);
        assert_eq!(limited(limits.take(&bob, &rates)), LimitOf::App);
        assert_eq!(limits.take(&other, &rates), Verdict::Taken);
        // A second device has the same meter.
        assert_eq!(limited(limits.take(&limits.meters("app", "alice"), &rates)), LimitOf::User);
    }

    #[tokio::test]
    async fn without_limits_nothing_is_counted() {
        let limits = Limits::new(100, None, LimitMetrics::noop());
        let alice = limits.meters("app", "alice");
        assert!((0..10_000).all(|_| limits.take(&alice, &rates(&[], &[])) == Verdict::Taken));
        assert_eq!(limits.take(&alice, &rates(&[(1, 60)], &[])), Verdict::Taken);
    }
}
