//! Points in time as RFC 3339 text, UTC.
#![forbid(unsafe_code)]

use super::line::Line;
use crate::sys::time::SECOND;

/// `2026-11-22T01:44:54Z`, from nanoseconds since 1970.
pub fn seconds(line: &mut Line<'_>, time: u64) {
    date_and_time(line, time / SECOND);
    line.text("Z");
}

/// `2026-11-22T01:44:54.123Z`: with the fraction but without zeros at its end, as Go's RFC3339Nano.
pub fn nanoseconds(line: &mut Line<'_>, time: u64) {
    date_and_time(line, time / SECOND);
    let mut fraction = time % SECOND;
    let mut width = 9_usize;
    while width > 0 && fraction.is_multiple_of(10) {
        fraction /= 10;
        width = width.saturating_sub(1);
    }
    if width > 0 {
        line.text(".");
        line.padded(fraction, width);
    }
    line.text("Z");
}

fn date_and_time(line: &mut Line<'_>, seconds: u64) {
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    line.padded(year, 4);
    for (mark, value) in [
        ("-", month),
        ("-", day),
        ("T", second / 3600),
        (":", second / 60 % 60),
        (":", second % 60),
    ] {
        line.text(mark);
        line.padded(value, 2);
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counted from 1 March of the year 0, so that the leap day is the last of its year: 146097 days are 400 years, and the
/// months from March on have 153 days in every five.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day.saturating_add(719_468);
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = of_era
        .saturating_sub(of_era / 1460)
        .saturating_add(of_era / 36_524)
        .saturating_sub(of_era / 146_096)
        / 365;
    let of_year = of_era.saturating_sub(
        (365 * year)
            .saturating_add(year / 4)
            .saturating_sub(year / 100),
    );
    let march_month = (5 * of_year).saturating_add(2) / 153;
    let day = of_year
        .saturating_sub((153 * march_month).saturating_add(2) / 5)
        .saturating_add(1);
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month.saturating_sub(9)
    };
    let year = (400 * era)
        .saturating_add(year)
        .saturating_add(u64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{Line, civil, nanoseconds, seconds};

    #[test]
    fn texts() {
        for (time, short, long) in [
            (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            (
                951_782_400_500_000_000,
                "2000-02-29T00:00:00Z",
                "2000-02-29T00:00:00.5Z",
            ),
            (
                1_700_000_000_123_456_789,
                "2023-11-14T22:13:20Z",
                "2023-11-14T22:13:20.123456789Z",
            ),
            (
                1_700_000_000_000_000_100,
                "2023-11-14T22:13:20Z",
                "2023-11-14T22:13:20.0000001Z",
            ),
            (
                4_107_542_399_999_999_999,
                "2100-02-28T23:59:59Z",
                "2100-02-28T23:59:59.999999999Z",
            ),
            (
                4_107_542_400_000_000_000,
                "2100-03-01T00:00:00Z",
                "2100-03-01T00:00:00Z",
            ),
            (
                u64::MAX,
                "2554-07-21T23:34:33Z",
                "2554-07-21T23:34:33.709551615Z",
            ),
        ] {
            let (mut one, mut two) = ([0; 64], [0; 64]);
            let (mut a, mut b) = (Line::new(&mut one), Line::new(&mut two));
            seconds(&mut a, time);
            nanoseconds(&mut b, time);
            assert_eq!((a.bytes(), b.bytes()), (short.as_bytes(), long.as_bytes()));
        }
    }

    #[test]
    fn every_day_of_six_centuries_follows_the_one_before() {
        let length = |year: u64, month: u64| {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            }
        };
        let mut expected = (1970, 1, 1);
        for day in 0..220_000 {
            assert_eq!(civil(day), expected);
            let (year, month, of_month) = expected;
            expected = if of_month < length(year, month) {
                (year, month, of_month + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
    }
}
