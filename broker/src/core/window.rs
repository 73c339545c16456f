//! The anti-replay window: the highest number of a sender device that was accepted and which of the 255 below it were
//! (RFC 4303, section 3.4.3). Constant space, however many messages there were (promise 2).

/// Numbers that the window tells apart, the highest included.
pub const WINDOW: u64 = 256;
const WORDS: usize = 4;

/// Bit `i` of word `w` stands for the number `highest - (64 w + i)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    pub highest: u64,
    pub words: [u64; WORDS],
}

/// What the window knows of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Not accepted.
    No,
    /// Accepted.
    Yes,
    /// Older than the window reaches: a sender that keeps its unanswered numbers within [`WINDOW`] never asks for it.
    TooOld,
}

impl Window {
    /// Looks a number up.
    pub fn seen(&self, seq: u64) -> Seen {
        if seq > self.highest {
            return Seen::No;
        }
        let below = self.highest - seq;
        if below >= WINDOW {
            return Seen::TooOld;
        }
        let (word, bit) = place(below);
        if self.words[word] >> bit & 1 == 1 { Seen::Yes } else { Seen::No }
    }

    /// Marks a number as accepted. One that is too old changes nothing.
    pub fn accept(&mut self, seq: u64) {
        if seq > self.highest {
            self.shift(seq - self.highest);
            self.highest = seq;
        }
        let below = self.highest - seq;
        if below < WINDOW {
            let (word, bit) = place(below);
            self.words[word] |= 1 << bit;
        }
    }

    fn shift(&mut self, by: u64) {
        if by >= WINDOW {
            self.words = [0; WORDS];
            return;
        }
        let (whole, bits) = place(by);
        for word in (0..WORDS).rev() {
            let low = word.checked_sub(whole).map_or(0, |from| self.words[from]);
            let carry = word.checked_sub(whole + 1).map_or(0, |from| self.words[from]);
            self.words[word] = if bits == 0 { low } else { low << bits | carry >> (64 - bits) };
        }
    }
}

/// Word and bit of the number so far below the highest; it is below [`WINDOW`].
fn place(below: u64) -> (usize, u32) {
    ((below / 64) as usize, (below % 64) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_of_the_window() {
        let mut window = Window::default();
        window.accept(1);
        window.accept(256);
        assert_eq!(window.seen(1), Seen::Yes, "255 below the highest is the last place");
        window.accept(257);
        assert_eq!(window.seen(1), Seen::TooOld);
        assert_eq!(window.seen(2), Seen::No);
        assert_eq!(window.seen(256), Seen::Yes);
        assert_eq!(window.seen(258), Seen::No);
        window.accept(1);
        assert_eq!(window.seen(1), Seen::TooOld);
        window.accept(u64::MAX);
        assert_eq!(window.seen(257), Seen::TooOld);
        assert_eq!(window.words, [1, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_the_last_256(numbers in prop::collection::vec(1u64..1200, 1..200)) {
            let mut window = Window::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                let highest = model.last().copied().unwrap_or(0);
                if number + WINDOW > highest {
                    model.insert(number);
                }
                window.accept(number);
                let highest = *model.last().unwrap();
                for seq in 1..=highest + 2 {
                    let expected = match () {
                        () if seq + WINDOW <= highest => Seen::TooOld,
                        () if model.contains(&seq) => Seen::Yes,
                        () => Seen::No,
                    };
                    prop_assert_eq!(window.seen(seq), expected, "{} under {}", seq, highest);
                }
            }
        }
    }
}
