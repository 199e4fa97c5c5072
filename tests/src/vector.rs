//! The vectors that fake providers give: the same for the same text, and exact in every encoding.

/// The vector of a text. Its numbers are 1024ths between -1 and 1, so neither JSON nor 32 bits
/// change them.
pub fn embedding(text: &str, dimensions: usize) -> Vec<f32> {
    let seed = text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let number = |index: usize| {
        let mixed = (seed ^ index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        ((mixed % 2049) as i16 - 1024) as f32 / 1024.0
    };
    (0..dimensions).map(number).collect()
}

/// Dimensions when a request names none.
pub const DIMENSIONS: usize = 8;

/// Numbers as OpenAI encodes them: little-endian, in base64.
pub fn base64(numbers: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let group = |group: &[u8]| {
        let word = (0..3).fold(0, |word, index| {
            word << 8 | u32::from(group.get(index).copied().unwrap_or(0))
        });
        (0..4).map(move |index| (word >> (18 - 6 * index) & 63) as usize)
    };
    let mut text: String = bytes
        .chunks(3)
        .flat_map(|bytes| {
            let kept = bytes.len() + 1;
            group(bytes).take(kept)
        })
        .map(|index| char::from(LETTERS[index]))
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_own_vectors() {
        let one = embedding("one", 4);
        assert_eq!(one, embedding("one", 8)[..4]);
        assert_ne!(one, embedding("two", 4));
        assert!(one.iter().all(|number| (-1.0..=1.0).contains(number)));
    }

    #[test]
    fn base64_is_padded() {
        assert_eq!(base64(&[0.5]), "AAAAPw==");
        assert_eq!(base64(&[0.5, -1.0]), "AAAAPwAAgL8=");
        assert_eq!(base64(&[0.5, -1.0, 0.0]), "AAAAPwAAgL8AAAAA");
    }
}
