//! Words that decide where a name begins and ends, by hash.

use super::super::cue;

/// Slots of a set: a power of two, more than twice as many as words.
const SLOTS: usize = 512;
/// Longest folded surname.
const SURNAME_BYTES_MAX: usize = 8;

/// A list of words, parted by spaces, that is made a set by the compiler.
struct Set {
    words: &'static [u8],
    /// Where a word begins and its length; open addressing, a length of 0 is free.
    slots: [(u16, u8); SLOTS],
}

impl Set {
    #[expect(
        clippy::indexing_slicing,
        reason = "evaluated by the compiler: out of range is an error"
    )]
    const fn of(list: &'static str) -> Self {
        let words = list.as_bytes();
        let mut slots = [(0, 0); SLOTS];
        let mut start = 0;
        while start < words.len() {
            let mut hash = SEED;
            let mut end = start;
            while end < words.len() && words[end] != b' ' {
                hash = mixed(hash, words[end]);
                end += 1;
            }
            if end > start {
                let mut slot = slot(hash);
                while slots[slot].1 != 0 {
                    slot = (slot + 1) % SLOTS;
                }
                slots[slot] = (start as u16, (end - start) as u8);
            }
            start = end + 1;
        }
        Self { words, slots }
    }

    fn has(&self, word: &[u8]) -> bool {
        let mut at = slot(word.iter().fold(SEED, |hash, byte| mixed(hash, *byte)));
        while let Some((start, len @ 1..)) = self.slots.get(at).copied() {
            let start = usize::from(start);
            if self.words.get(start..start + usize::from(len)) == Some(word) {
                return true;
            }
            at = (at + 1) % SLOTS;
        }
        false
    }
}

const SEED: u32 = 0x811c_9dc5;

const fn mixed(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

const fn slot(hash: u32) -> usize {
    (hash ^ hash >> 15) as usize % SLOTS
}

/// A capitalized word at which a name ends, or with which none begins.
pub(super) fn stops(word: &str, first: bool) -> bool {
    ENDS.has(word.as_bytes()) || first && NO_NAMES.has(word.as_bytes())
}

/// A type or marker that stands where one name could.
pub(super) fn is_value(word: &[u8]) -> bool {
    NO_VALUES.has(word)
}

/// A surname of nine in ten Vietnamese; their names have three words and more.
pub(super) fn is_vietnamese(word: &str) -> bool {
    let mut folded = [0; SURNAME_BYTES_MAX];
    let mut len = 0;
    for letter in cue::folded(word) {
        let Some(slot) = folded.get_mut(len) else {
            return false;
        };
        *slot = letter;
        len += 1;
    }
    VIETNAMESE.has(folded.get(..len).unwrap_or_default())
}

/// Without accents.
static VIETNAMESE: Set = Set::of(
    "nguyen tran le pham hoang huynh phan vu vo dang bui do ho ngo duong ly trinh dinh mai ta cao \
    lam chau quach luong ha dao doan vuong to tang la thai trieu kieu phung chu nghiem tu hua \
    dam truong luu tong thach bach vi giang",
);

/// Capitalized words that follow the phrases and begin no name, though one may hold them.
static NO_NAMES: Set = Set::of(
    "Mein Meine Meinen My Mon Ma Mes Mi Mis Meu Minha Estimado Estimada Prezado Prezada Caro Cara \
    Cher Chère Sehr Lieber Liebe Dear Hola Olá Bonjour Guten Buenos Buenas Bom Boa Vielen Muchas \
    Muito Merci Thank N Team Support Sir Madam Customer Customers User Users Hiring All Everyone \
    Em Anh Chị Dạ Có Damen Quý Khách Mã Bạn Nhân True False A Vietnamese English Once Since If \
    As He She OK None Null NULL Unknown",
);

/// Words that end a name wherever they stand.
static ENDS: Set = Set::of(
    "CMND CCCD SSN ID SĐT Số Ngày Email Phone Điện Địa And Or In On At For From With Mr Mrs Ms Dr \
    Prof Herr Frau Monsieur Madame Mme Sinh Passport DOB INTEGER TEXT NOT NULL REAL BLOB DEFAULT \
    PRIMARY The This That These Your Our His Her Their We You They It I To No Not Please Can \
    Could What Where How When Why Is Are Do Does Hello Hi Thanks Total Wire Send Call Cảm Xin \
    Chào Không Tôi Chuyển Vẫn Đơn Hóa Hoá Kiểm Hôm Thẻ Dịch Cuộc Phiên Biển Theo Hệ Lô Doanh \
    Biên Khách Mật Hộ Căn Gửi Đã Đang Sẽ Bạn Mình Nếu Khi Nhưng Và Hoặc Mail Zalo Hạn Giao Phản \
    Es Il Elle Nous Der Die Das Ein Eine Ich Bitte Le La Les Un Une Je Vous El Los Las",
);

static NO_VALUES: Set = Set::of(
    "String Option Text Str Int Integer Varchar VARCHAR TEXT Required Type Some Ok Box Vec Any \
    Optional Field Column CharField Yes",
);
