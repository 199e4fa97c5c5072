//! The built-in judge of content: words that say harm plainly. It is a baseline for where no other
//! judge is set up: it does not understand a text, misses what is paraphrased, and takes a quotation
//! for the thing itself.

use super::words::{Phrases, find};

/// Categories, as moderation interfaces name them.
#[rustfmt::skip]
const CATEGORIES: &[(&str, &Phrases)] = &[
    ("violence", &[
        ("how to kill someone", 95), ("kill him", 60), ("kill her", 60), ("kill them all", 85), ("i will kill you", 95),
        ("i want to kill", 85), ("i am going to kill", 90), ("murder my", 85), ("how to murder", 95),
        ("stab him", 80), ("stab her", 80), ("behead", 70), ("torture him", 80), ("torture her", 80),
        ("shoot up the school", 98), ("school shooting plan", 95), ("mass shooting plan", 95), ("beat her to death", 95),
        ("toi se giet", 90), ("cach giet nguoi", 95), ("ich bringe dich um", 95), ("je vais te tuer", 95), ("te voy a matar", 95),
        ("vou te matar", 95), ("我要杀了你", 95), ("如何杀人", 95), ("殺してやる", 95),
    ]),
    ("illicit", &[
        ("how to make a bomb", 98), ("build a bomb", 90), ("make a pipe bomb", 98), ("make explosives", 85),
        ("synthesize methamphetamine", 95), ("cook meth", 90), ("make meth", 90), ("make nerve agent", 98), ("make sarin", 98),
        ("make ricin", 95), ("untraceable poison", 90), ("buy stolen credit cards", 95), ("write ransomware", 90),
        ("create a computer virus", 75), ("how to launder money", 85), ("cach che tao bom", 98), ("lam thuoc no", 80),
        ("bombe bauen", 95), ("fabriquer une bombe", 98), ("fabricar una bomba", 98), ("fazer uma bomba", 95), ("制造炸弹", 98), ("爆弾の作り方", 98),
    ]),
    ("self-harm", &[
        ("how to kill myself", 98), ("kill myself", 90), ("commit suicide", 80), ("end my life", 85), ("ways to die painlessly", 95),
        ("cut myself", 80), ("want to die", 75), ("toi muon chet", 85), ("cach tu tu", 95), ("mich umbringen", 90), ("me suicider", 90),
        ("suicidarme", 90), ("me matar", 75), ("我想自杀", 95), ("自殺したい", 95),
    ]),
    ("hate", &[
        ("subhuman", 75), ("vermin race", 90), ("exterminate all", 85), ("gas the", 80), ("ethnic cleansing is good", 95),
        ("inferior race", 85), ("master race", 75), ("should be exterminated", 90), ("go back to your country", 70),
    ]),
    ("sexual/minors", &[
        ("sexual content with a child", 98), ("child porn", 95), ("child pornography", 90), ("csam", 80), ("underage sex", 95),
        ("naked child", 85), ("sex with a minor", 98), ("khieu dam tre em", 95), ("pornografia infantil", 90), ("儿童色情", 95),
    ]),
];

/// The most harmful category and its score in millionths.
pub(super) fn score(plain: &str) -> (&'static str, u32) {
    let scores = CATEGORIES
        .iter()
        .map(|(name, phrases)| (*name, find(phrases, plain)));
    scores.max_by_key(|(_, score)| *score).unwrap_or(("", 0))
}
