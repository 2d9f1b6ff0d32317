use crate::{Expression, ExpressionError, TimeOfDay, is_zone, zone_names};

fn parse(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> ExpressionError {
    Expression::parse(text).expect_err(text)
}

/// The times of a day that fit.
fn times(text: &str) -> Vec<TimeOfDay> {
    let (expression, mut from, mut found) = (parse(text), (0, 0, 0), Vec::new());
    while let Some(time) = expression.time_from(from) {
        found.push(time);
        let (hour, minute, second) = time;
        from = match (minute, second) {
            (59, 59) if hour == 23 => break,
            (59, 59) => (hour + 1, 0, 0),
            (_, 59) => (hour, minute + 1, 0),
            _ => (hour, minute, second + 1),
        };
    }
    found
}

#[test]
fn lists_ranges_steps_and_names_are_sets() {
    assert_eq!(times("30 2 * * *"), [(2, 30, 0)]);
    assert_eq!(times("*/30 1-2 * * *"), [(1, 0, 0), (1, 30, 0), (2, 0, 0), (2, 30, 0)]);
    assert_eq!(times("5,10 0 * * *"), [(0, 5, 0), (0, 10, 0)]);
    assert_eq!(times("50/5 0 * * *"), [(0, 50, 0), (0, 55, 0)]);
    assert_eq!(times("10-20/5 0 * * *"), [(0, 10, 0), (0, 15, 0), (0, 20, 0)]);
    assert_eq!(times("*/20 0 23 * * *"), [(23, 0, 0), (23, 0, 20), (23, 0, 40)]);
    assert_eq!(times("* * * * * *").len(), 86_400);
    for (name, number) in [
        ("0 0 * JAN-MAR *", "0 0 * 1-3 *"),
        ("0 0 * * mon-fri", "0 0 * * 1-5"),
        ("0 0 * * MON-SUN", "0 0 * * *"),
        ("0 0 * * 7", "0 0 * * SUN"),
        ("0 0 * * 5-7", "0 0 * * FRI,SAT,SUN"),
        ("@daily", "0 0 * * *"),
        ("@Weekly", "0 0 * * SUN"),
        ("  0   0 * * *  ", "0 0 * * *"),
    ] {
        let days = |text| {
            let expression = parse(text);
            let all = (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day)));
            all.flat_map(|(month, day)| (0..7).map(move |weekday| (month, day, weekday)))
                .map(|(month, day, weekday)| expression.fits_day(month, day, weekday))
                .collect::<Vec<_>>()
        };
        assert_eq!((times(name), days(name)), (times(number), days(number)), "{name} is {number}");
    }
}

#[test]
fn a_day_fits_either_when_both_are_restricted() {
    let either = parse("0 0 13 * FRI");
    assert!(either.fits_day(3, 13, 2) && either.fits_day(3, 14, 5) && !either.fits_day(3, 14, 2));
    // A field that begins with `*` restricts nothing by itself: both have to fit.
    let both = parse("0 0 */2 * FRI");
    assert!(both.fits_day(3, 13, 5) && !both.fits_day(3, 13, 2) && !both.fits_day(3, 14, 5));
}

#[test]
fn only_a_named_minute_and_hour_are_fixed() {
    for fixed in ["30 2 * * *", "* 30 2 * * *", "0,30 2-4 * * *", "@daily", "0 0 1 */2 *"] {
        assert!(parse(fixed).is_fixed(), "{fixed}");
    }
    for repeated in ["*/15 2 * * *", "0 * * * *", "0 */6 * * *", "0/15 2 * * *", "@hourly", "* * * * * *"] {
        assert!(!parse(repeated).is_fixed(), "{repeated}");
    }
}

#[test]
fn a_mistake_is_named_with_its_place() {
    for (text, wrong, message) in [
        ("61 9 * * *", "61", "the minute `61` is not between 0 and 59"),
        ("0 24 * * *", "24", "the hour `24` is not between 0 and 23"),
        ("0 9 0 * *", "0", "the day of the month `0` is not between 1 and 31"),
        ("0 9 * 13 *", "13", "the month `13` is not between 1 and 12"),
        ("0 9 * * 8", "8", "the weekday `8` is not between 0 and 7"),
        ("0 9 * * MO", "MO", "`MO` is no weekday: write 0 to 7, or SUN to SAT, `*`, a range or a list"),
        ("0 9 * * FRI-TUE", "FRI-TUE", "the weekday `FRI-TUE` runs backwards"),
        ("0 9 L * *", "L", "`L` is no day of the month: write 1 to 31, `*`, a range or a list"),
        ("0,,5 9 * * *", "", "`` is no minute"),
        ("*/0 9 * * *", "0", "`0` is no step of the minute"),
        ("*/90 * * * *", "90", "the step `90` is larger than the range of the minute"),
        ("*/5/5 * * * *", "*/5/5", "the minute has two steps"),
        ("1-2-3 * * * *", "1-2-3", "the minute `1-2-3` is no range"),
        ("0 9 * *", "0 9 * *", "an expression has 5 fields"),
        ("0 0 9 * * MON 2026", "0 0 9 * * MON 2026", "an expression has 5 fields"),
        ("", "", "an expression has 5 fields"),
        ("@reboot", "@reboot", "`@reboot` is no nickname: there are @yearly"),
        ("0 0 30 2 *", "30 2", "this never comes: no month of `2` has a day of `30`"),
        ("0 0 31 4,6 *", "31 4,6", "this never comes"),
    ] {
        let error = refused(text);
        assert_eq!(&text[error.span.clone()], wrong, "{text}: {error}");
        assert!(error.message.starts_with(message), "{text}: {error}");
    }
    assert!(refused(&"0 ".repeat(200)).message.contains("longer than 256 bytes"));
    assert!(parse("0 0 29 2 *").fits_day(2, 29, 0), "leap years have it");
    assert!(parse("0 0 30 2 MON").fits_day(2, 2, 1), "the weekday comes");
}

#[test]
fn a_mistake_is_shown_below_the_text() {
    let shown = refused("0 24 * * *").to_string();
    assert_eq!(shown, "the hour `24` is not between 0 and 23\n  0 24 * * *\n    ^^");
    // Marks count characters, not bytes.
    let shown = refused("0 ä * * *").to_string();
    assert!(shown.ends_with("\n  0 ä * * *\n    ^"), "{shown}");
}

#[test]
fn zones_are_known_by_name() {
    for zone in ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"] {
        assert!(is_zone(zone), "{zone}");
    }
    for none in ["europe/berlin", "Berlin", "", "Europe/Berlin\n"] {
        assert!(!is_zone(none), "{none}");
    }
    assert!(zone_names().is_sorted());
}
