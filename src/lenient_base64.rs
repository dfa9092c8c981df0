//! Base64 as people paste it.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

/// What a text is base64 of: in either alphabet, with or without padding, with line ends in it. Nothing
/// if it is none.
pub(crate) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    let compact: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    STANDARD.decode(&*compact).or_else(|_| URL_SAFE.decode(&*compact)).map(Zeroizing::new).ok()
}
