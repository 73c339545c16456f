//! When which fault happens. Pure: the same seed, class, length and cluster give the same schedule.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::faults::{Class, Fault, Shape};

/// Traffic before the first fault.
const FIRST: Duration = Duration::from_secs(1);
/// Between the end of a fault and the next one, in milliseconds.
const REST_MS: std::ops::Range<u64> = 500..3_000;

/// A fault, and its time since the traffic began.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// When it is due. One that is late follows the one before it at once: there is one at a time.
    pub at: Duration,
    /// What happens.
    pub fault: Fault,
}

/// A seed for a run that repeats none.
pub fn random_seed() -> u64 {
    rand::random()
}

/// Faults of a class, one after the other, for about so long; at least one.
pub fn plan(seed: u64, class: Class, length: Duration, shape: &Shape) -> Vec<Timed> {
    // Each class has draws of its own, so that it can be repeated alone.
    let own = Class::ALL.iter().position(|other| *other == class).unwrap_or_default() as u64;
    let mut rng = SmallRng::seed_from_u64(seed.wrapping_add(own << 32));
    let (mut schedule, mut at) = (Vec::new(), FIRST);
    loop {
        let fault = class.draw(&mut rng, shape);
        let end = at + fault.length();
        if end > length && !schedule.is_empty() {
            return schedule;
        }
        schedule.push(Timed { at, fault });
        at = end + Duration::from_millis(rng.random_range(REST_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { control_planes: 3, brokers: 3, gateways: 2 };
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_seed_repeats_and_another_one_differs() {
        for class in Class::ALL {
            let once = plan(7, class, 10 * MINUTE, &SHAPE);
            assert_eq!(once, plan(7, class, 10 * MINUTE, &SHAPE), "{class}");
            assert_ne!(once, plan(8, class, 10 * MINUTE, &SHAPE), "{class}");
        }
    }

    #[test]
    fn faults_do_not_overlap_and_end_in_time() {
        for class in Class::ALL {
            let schedule = plan(1, class, MINUTE, &SHAPE);
            assert!(schedule.len() > 1, "{class}: {}", schedule.len());
            assert!(schedule[0].at >= FIRST);
            for pair in schedule.windows(2) {
                assert!(pair[1].at > pair[0].at + pair[0].fault.length(), "{class}: {pair:?}");
            }
            let last = &schedule[schedule.len() - 1];
            assert!(last.at + last.fault.length() <= MINUTE, "{class}: {last:?}");
            assert_eq!(plan(1, class, Duration::ZERO, &SHAPE).len(), 1, "{class}: at least one");
        }
    }

    #[test]
    fn classes_go_by_their_names() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert!("kil".parse::<Class>().unwrap_err().contains("kill, pause, "));
    }
}
