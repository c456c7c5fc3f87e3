//! The classes: each a property of a token that somebody refuses it for, who does, and what settles that.

/// Who judges, as a set.
pub(crate) type Who = u8;

/// The judges in their order; the number in a [`Who`] is the place here.
pub(crate) const JUDGES: [&str; 6] = ["ours", "jsonwebtoken", "PyJWT", "joserfc", "jose", "fast-jwt"];

const OURS: Who = 1;
const JWT: Who = 2;
const PYJWT: Who = 4;
const JOSERFC: Who = 8;
const JOSE: Who = 16;
const FAST: Who = 32;
const ALL: Who = 63;

macro_rules! classes {
    ($($class:ident $name:literal $minded:expr, $settled:literal;)*) => {
        /// A property of a token.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Class { $($class),* }

        impl Class {
            /// All of them, in the order of the table.
            pub(crate) const ALL: &[Self] = &[$(Self::$class),*];

            /// What it is called in the report.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$class => $name),* }
            }

            /// Who refuses a token for it.
            pub(crate) fn minded(self) -> Who {
                match self { $(Self::$class => $minded),* }
            }

            /// The sentence of a standard, or the rule, that says who is right.
            pub(crate) fn settled(self) -> &'static str {
                match self { $(Self::$class => $settled),* }
            }
        }
    };
}

classes! {
    // The token.
    Parts "not three parts, none of them empty" ALL, "RFC 7515 section 7.1; W1";
    TooLong "more than 8,192 bytes" OURS, "W6 (ours)";
    SpaceBefore "spaces before the token" ALL & !(OURS | JOSE), "RFC 9110 section 11.4: one or more spaces follow the scheme, so they are no part of the token; V1. To the others they are, and signed if at all";
    Signature "the signature is not the MAC" ALL, "RFC 7515 section 5.2 step 8; V3";
    // base64url.
    Alphabet "a character that is not base64url's" ALL, "RFC 7515 section 2: base64url of RFC 4648 section 5; W1";
    WhiteSpace "white space in a part" ALL & !JOSE, "RFC 7515 section 2: no line breaks, white space or other characters; W1";
    Padding "a part with its right padding" ALL & !(PYJWT | JOSE), "RFC 7515 section 2: all trailing `=` omitted; W1";
    WrongPadding "a part with padding that is not even right" ALL, "RFC 7515 section 2; W1";
    TrailingBits "unused bits in a part's last character" ALL & !(JOSE | FAST), "RFC 4648 section 3.5: decoders MAY refuse; W1: one spelling, so that no token has two";
    Dangling "one character too many in a part" ALL & !FAST, "RFC 4648 section 4: no bytes are written so; W1";
    // Encoding and JSON.
    ByteOrderMark "a UTF-8 byte-order mark" ALL & !(PYJWT | JOSERFC | JOSE), "RFC 8259 section 8.1: MUST NOT be added, MAY be ignored; W5";
    OtherEncoding "JSON in UTF-16 or UTF-32" ALL & !(PYJWT | JOSERFC), "RFC 7519 section 7.2 steps 3 and 10: UTF-8; W5";
    InvalidUtf8 "bytes in a string that are not UTF-8" ALL & !FAST, "RFC 7519 section 7.2 steps 3 and 10: UTF-8; W5";
    EncodedSurrogate "a surrogate encoded as if in UTF-8" ALL & !(PYJWT | JOSERFC | FAST), "RFC 3629 section 3: surrogates are prohibited; W5";
    NotJson "not JSON" ALL, "RFC 7515 section 5.2 step 3, RFC 7519 section 7.2 step 10; W5";
    NotAnObject "JSON, but no object" ALL, "RFC 7515 section 4, RFC 7519 section 7.2 step 10; W5";
    Constant "NaN or Infinity" ALL & !(PYJWT | JOSERFC), "RFC 8259 section 6: not permitted; W5";
    LoneSurrogate "an escape that is half a pair" OURS | JWT, "RFC 8259 section 8.2: unpredictable; RFC 7493 section 2.1: MUST NOT; W5";
    BeyondDouble "a number beyond a double" JWT, "RFC 8259 section 6: valid grammar, an implementation's limit; W5: unknown members are ignored";
    EndlessInteger "an integer of more than 4,300 digits" PYJWT | JOSERFC, "RFC 8259 section 6: valid grammar, an implementation's limit; W5";
    Deep "nested 65 to 127 deep" OURS, "RFC 8259 section 9: an implementation may limit the depth; W5";
    Deeper "nested 128 to 900 deep" OURS | JWT, "RFC 8259 section 9; W5";
    Deepest "nested more than 900 deep" OURS | JWT | PYJWT | JOSERFC, "RFC 8259 section 9; W5";
    Twice "a member twice that jsonwebtoken does not know" OURS, "RFC 7515 section 4, RFC 7519 section 4: refuse, or take the last; W5 refuses";
    KnownTwice "a member twice that jsonwebtoken knows" OURS | JWT, "RFC 7515 section 4, RFC 7519 section 4: refuse, or take the last; W5 refuses";
    // The header.
    Algorithm "`alg` missing or not HS256" ALL, "RFC 7515 section 4.1.1, RFC 8725 section 3.1; W1";
    AlgorithmObject "`alg` as {\"HS256\": null}" ALL & !JWT, "RFC 7515 section 4.1.1: a string; W1";
    CritNull "`crit` is null" OURS | PYJWT | JOSERFC | JOSE, "RFC 7515 section 4.1.11: a non-empty array; W1: any `crit`";
    CritFalsy "`crit` is false, 0 or empty text" ALL & !FAST, "RFC 7515 section 4.1.11: a non-empty array; W1";
    CritType "`crit` is no array of strings" ALL, "RFC 7515 section 4.1.11; W1";
    CritEmpty "`crit` is empty" ALL & !(JWT | JOSERFC), "RFC 7515 section 4.1.11: MUST NOT be empty; W1";
    CritRegistered "`crit` names members of RFC 7515 that are there" ALL & !(JWT | JOSERFC), "RFC 7515 section 4.1.11: MUST NOT be named; W1";
    CritUnknown "`crit` names what is not understood or not there" ALL & !JWT, "RFC 7515 section 4.1.11: the JWS is invalid; W1";
    CritEncoded "`crit` names `b64`, which is true" OURS | FAST, "RFC 7797 section 6: for those who support it; W1: any `crit`";
    CritNotEncoded "`crit` names `b64`, which is false" ALL & !(JWT | JOSERFC), "RFC 7797 section 7: JWTs MUST NOT; W1";
    CritOdd "`crit` names `b64`, which is no boolean" ALL & !(JWT | PYJWT), "RFC 7797 section 3: a boolean; W1";
    NotEncoded "`b64` is false, without `crit`" PYJWT | JOSERFC, "RFC 7515 section 4: what is not understood is ignored, RFC 7797 section 6 has `crit` for it; W5";
    EncodedOdd "`b64` is no boolean" JOSERFC, "RFC 7515 section 4: what is not understood MUST be ignored; W5";
    UnknownHeader "a header member that RFC 7515 does not have" JOSERFC, "RFC 7515 section 4: what is not understood MUST be ignored; W5";
    NullHeader "a registered header member is null" JOSERFC, "W1, W5: ignored, whatever it is (a key in a header is never consulted)";
    HeaderType "a registered header member of the wrong type" JWT | JOSERFC, "W1, W5: ignored, whatever it is";
    OtherHeaderType "`enc`, `zip`, `url` or `nonce` of the wrong type" JWT, "W5: ignored, whatever it is";
    KeyIdType "`kid` is no string" PYJWT, "RFC 7515 section 4.1.4: a string; W1: never consulted";
    KeyUnreadable "`jwk` has a `kid` that is no string" JWT, "W1: never consulted";
    NoUrl "`jku` or `x5u` is no URL" JOSERFC, "W1: never consulted";
    LongHeader "a header of more than 512 characters" JOSERFC, "W6 limits the token as a whole";
    // The claims.
    NoSubject "no `sub`" ALL, "W4";
    SubjectType "`sub` is no string" ALL & !(JOSE | FAST), "RFC 7519 section 4.1.2: a string; W4";
    SubjectEmpty "`sub` is empty" OURS | JOSERFC, "W4";
    SubjectForm "`sub` names no web config in the one form" OURS, "W4";
    SubjectOther "`sub` names another web config, or none there is" OURS, "V3: its own secret counts, so that the signature is wrong";
    AudienceType "`aud` is no string or array of strings" OURS | JOSERFC, "RFC 7519 section 4.1.3; W5";
    ExpiredLong "`exp` is past" ALL, "RFC 7519 section 4.1.4; V4";
    ExpiredNow "`exp` is now" ALL & !(JWT | FAST), "RFC 7519 section 4.1.4: not on or after it; V4";
    ExpiredJust "`exp` is past by half a second or less" ALL & !JWT, "RFC 7519 section 4.1.4: not on or after it, and section 2: seconds may have a fraction; V4, W5";
    ExpiresSoon "`exp` is less than a second off" PYJWT, "RFC 7519 section 2: seconds may have a fraction; W5";
    ExpiresFiner "`exp` is later than now by what no double tells" PYJWT | JOSERFC | JOSE, "RFC 8259 section 6: precision is an implementation's; W5, V4: exactly";
    ExpiryRounded "`exp` is so near to the next second that a double is that" 0, "RFC 8259 section 6: precision is an implementation's; W5: exactly. All accept, the others a second longer";
    ExpiryNegative "`exp` is negative" ALL, "RFC 7519 section 4.1.4: past; W5: no time";
    ExpiryFar "`exp` is beyond the year 9999" OURS, "W5: milliseconds for seconds, else everlasting";
    ExpiryFarther "`exp` is beyond 64 bits" OURS | JWT, "W5";
    ExpiryInfinite "`exp` is a fraction or power beyond a double" ALL & !(JOSE | FAST), "W5";
    ExpiryText "`exp` is text that reads as a time to come" ALL & !PYJWT, "RFC 7519 section 4.1.4: a number; W5";
    ExpiryType "`exp` is no number" ALL, "RFC 7519 section 4.1.4: a number; W5";
    EarlyLong "`nbf` is to come" ALL, "RFC 7519 section 4.1.5; V4";
    EarlyFar "`nbf` is beyond the year 9999" ALL, "RFC 7519 section 4.1.5: to come; W5: no time";
    EarlyUnderHalf "`nbf` is less than half a second off" ALL & !(JWT | PYJWT), "RFC 7519 section 4.1.5: not before it, and section 2: seconds may have a fraction; V4";
    EarlyUnderOne "`nbf` is half a second off, or more" ALL & !PYJWT, "RFC 7519 section 4.1.5; V4";
    EarlyFiner "`nbf` is later than now by what no double tells" OURS, "RFC 8259 section 6: precision is an implementation's; V4: exactly";
    EarlyNegative "`nbf` is negative" OURS | JWT, "W5: no time";
    EarlyInfinite "`nbf` is negative beyond a double" ALL & !(JOSE | FAST), "W5: no time";
    EarlyText "`nbf` is text or a boolean that reads as a past time" ALL & !PYJWT, "RFC 7519 section 4.1.5: a number; W5";
    EarlyType "`nbf` is no number" ALL, "RFC 7519 section 4.1.5: a number; W5";
    IssuedFuture "`iat` is to come" PYJWT | JOSERFC, "RFC 7519 section 4.1.6: for its age, no reason to refuse; W5: ignored";
    IssuedSoon "`iat` is less than a second off" JOSERFC, "RFC 7519 section 4.1.6; W5: ignored";
    IssuedInfinite "`iat` is a fraction or power beyond a double" PYJWT | JOSERFC, "W5: ignored";
    IssuedText "`iat` is text or a boolean that reads as a past time" JOSERFC | JOSE, "RFC 7519 section 4.1.6: a number; W5: ignored";
    IssuedType "`iat` is no number" PYJWT | JOSERFC | JOSE, "RFC 7519 section 4.1.6: a number; W5: ignored";
    IdType "`jti` is no string" PYJWT | JOSERFC, "RFC 7519 section 4.1.7: a string; W5: ignored";
    IssuerType "`iss` is no string" JOSERFC, "RFC 7519 section 4.1.1: a string; W5: ignored";
}
