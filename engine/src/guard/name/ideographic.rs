//! Chinese and Japanese names.

use super::super::Kind;
use super::super::cue::{self, Cue, Ends};
use super::super::scanner::Scanner;
use super::{column, is_ideograph};

/// Two to four ideographs, Japanese ones with a space, after a phrase that ends right before them.
pub(super) fn ideographic(scan: &mut Scanner<'_>, at: usize, first: char) -> Option<usize> {
    if !matches!(first, '\u{3400}'..='\u{9fff}') {
        return None;
    }
    let before = scan.slice(at.saturating_sub(3), at);
    let marked = before == "：".as_bytes()
        || before == "是".as_bytes()
        || before == "は".as_bytes()
        || before == "叫".as_bytes()
        || matches!(
            before.last(),
            Some(b' ' | b':' | b'"' | b'\'' | b'=' | b'|' | b'\t' | b',' | b';' | b'>' | b'\n')
        );
    if !marked {
        return None;
    }
    let cue = match cue::ending(scan.text, at, Ends::Any) {
        Some(cue) => cue,
        None => column(scan, at)?,
    };
    match cue {
        Cue::Person | Cue::Role | Cue::Label => {}
        Cue::Speaker if SURNAMES.contains(first) => {}
        _ => return None,
    }
    let (mut end, mut count, mut spaced) = ideographic_name(scan, at);
    let is_label = |end| scan.at(end) == b':' || scan.slice(end, end + 3) == "：".as_bytes();
    if spaced && is_label(end) {
        // The next label stands after the space.
        let name = scan.text.get(at..end)?.split([' ', '\u{3000}']).next()?;
        (end, count, spaced) = (at + name.len(), name.chars().count(), false);
    }
    let fits = if spaced {
        (2..=6).contains(&count)
    } else {
        (2..=5).contains(&count)
    };
    // `氏名：` at the end of a line leaves the next label in its place.
    if !fits || is_label(end) || cue::heading(scan.text.get(at..end)?).is_some() {
        return None;
    }
    scan.found(Kind::Name, at, end);
    Some(end)
}

/// End of the name that begins at `at`, its characters, and whether a space parts it.
fn ideographic_name(scan: &Scanner<'_>, at: usize) -> (usize, usize, bool) {
    let (mut end, mut count, mut spaced) = (at, 0, false);
    let mut kana = None;
    scan.touch_within(at, 30);
    for letter in scan.text.get(at..).unwrap_or_default().chars() {
        match letter {
            '\u{3400}'..='\u{9fff}' | '々' if count < 6 => {
                count += 1;
                kana = kana.or(spaced.then_some(false));
            }
            // What follows ideographs in kana is grammar.
            '\u{3041}'..='\u{30ff}'
                if spaced && count < 6 && kana != Some(false) && letter != 'で' =>
            {
                count += 1;
                kana = Some(true);
            }
            ' ' | '\u{3000}'
                if !spaced
                    && (1..=3).contains(&count)
                    && is_given(scan, end + letter.len_utf8()) =>
            {
                spaced = true;
            }
            _ => break,
        }
        end += letter.len_utf8();
    }
    (end, count, spaced)
}

/// What stands at `at` can be a given name: not a label and not a sentence.
fn is_given(scan: &Scanner<'_>, at: usize) -> bool {
    scan.touch_within(at, 18);
    let rest = scan.text.get(at..).unwrap_or_default();
    let same = |kanji: bool| {
        rest.chars()
            .take(6)
            .take_while(|letter| {
                is_ideograph(*letter) && matches!(letter, '\u{3400}'..='\u{9fff}') == kanji
            })
            .count()
    };
    (1..=3).contains(&same(true)) || (2..=4).contains(&same(false))
}

/// Surnames of half of China's people.
const SURNAMES: &str = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文";

/// Where a name can begin that ends at the end of `head` and is introduced by what follows.
pub(in super::super) fn family_start(head: &str) -> usize {
    let letters = head.chars().rev().take(8);
    let name = letters
        .take_while(|letter| matches!(letter, '\u{3400}'..='\u{9fff}' | '々' | ' ' | '\u{3000}'));
    head.len() - name.map(char::len_utf8).sum::<usize>()
}

/// The name before `と申します` at `at`: two to six characters after a border.
pub(super) fn introduced(scan: &mut Scanner<'_>, at: usize) -> Option<usize> {
    scan.touch_within(at, 15);
    let verbs = ["と申し", "といいます", "と言います"];
    let rest = scan.text.get(at..)?;
    let verb = verbs.iter().find(|verb| rest.starts_with(**verb))?;
    let head = scan.text.get(..at)?;
    let (mut start, mut count, mut spaced) = (at, 0, false);
    for letter in head.chars().rev().take(8) {
        match letter {
            '\u{3400}'..='\u{9fff}' | '々' => count += 1,
            ' ' | '\u{3000}' if !spaced && (1..=3).contains(&count) => spaced = true,
            _ => break,
        }
        start -= letter.len_utf8();
    }
    let name = scan.text.get(start..at)?.trim_start();
    let start = at - name.len();
    if !(2..=6).contains(&count) || scan.found_within(start, at) {
        return None;
    }
    scan.found(Kind::Name, start, at);
    Some(at + verb.len())
}
