use forge_actors::kernel::printable::is_obeyed;
use serde_json::json;

use super::context::Palette;
use super::report::{Exit, Report};
use super::text::Text;

const HOSTILE: &str = "ana\u{1b}[2J\u{9b}31m\u{202e}\r\nerror[ok]: all is well";

#[test]
fn text_holds_no_escape_sequences_but_forges_own() {
    let palette = Palette::COLOURED;
    let text = Text::lines([palette.red(HOSTILE), HOSTILE.into()]);
    let escaped = r"ana\u{1b}[2J\u{9b}31m\u{202e}\r";
    let expected =
        format!("\u{1b}[31m{escaped}\nerror[ok]: all is well\u{1b}[0m\n{escaped}\nerror[ok]: all is well");
    assert_eq!(text.as_str(), expected);
    let painted = palette.dim(palette.green("ok")).as_str().to_owned();
    assert_eq!(painted, "\u{1b}[2m\u{1b}[32mok\u{1b}[0m\u{1b}[0m", "a painted text is not escaped again");
}

#[test]
fn json_for_a_terminal_is_the_same_json() {
    let value = json!({ "subject": HOSTILE });
    for text in [Text::json(&value), Text::pretty_json(&value)] {
        assert!(!text.as_str().contains(|c| is_obeyed(c) && c != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(text.as_str()).expect("JSON"), value);
    }
}

#[test]
fn a_report_cannot_be_forged_by_what_it_repeats() {
    let report = Report::new(Exit::Failed, "CONFLICT", HOSTILE).tried(HOSTILE).cause(HOSTILE).help(HOSTILE);
    let text = report.text(false);
    assert!(!text.as_str().contains(|c| is_obeyed(c) && c != '\n'), "{text:?}");
    let at_the_margin = text.as_str().lines().filter(|line| !line.starts_with("  "));
    assert_eq!(at_the_margin.count(), 1, "{}", text.as_str());
}
