//! Durations on the command line: a number and a unit, `500ms`, `10s`, `5m`, `2h`, `30d`; 0 needs no unit.

use std::time::Duration;

/// Reads a duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 =
        digits.parse().map_err(|_| format!("{text} is no duration, such as 500ms, 10s, 5m, 2h or 30d"))?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 1,
        _ => return Err(format!("{text} has no unit that is known: ms, s, m, h or d")),
    };
    let total = number.checked_mul(milliseconds).ok_or_else(|| format!("{text} is too long"))?;
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_read_and_nonsense_is_named() {
        assert_eq!(parse("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        for nonsense in ["", "s", "10", "-1s", "10 s", "1.5h", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
    }
}
