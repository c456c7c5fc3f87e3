//! stub
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a>(&'a [u8]);
#[derive(Debug)] pub struct InvalidOrigin;
impl<'a> Origin<'a> { pub fn parse(v: &'a [u8]) -> Result<Self, InvalidOrigin> { Ok(Self(v)) } pub fn is_authority(&self, _a:&str)->bool{false} }
#[derive(Debug, Clone, Copy, PartialEq)] pub enum AnyOrigin { Counts, Ignored }
#[derive(Debug, Clone, PartialEq, Eq)] pub struct OriginPattern;
#[derive(Debug, thiserror::Error)] #[error("bad")] pub struct InvalidPattern;
impl OriginPattern { pub fn parse_minted(_: &str) -> Result<Self, InvalidPattern> { Ok(Self) } }
#[derive(Debug, Clone, Default, PartialEq)] pub struct OriginRules(Vec<String>);
impl OriginRules { pub fn parse_allowed<S: AsRef<str>>(_: &[S]) -> Result<Self, (usize, InvalidPattern)> { Ok(Self(vec![])) } pub fn from_stored<S: AsRef<str>>(_: &[S]) -> Self { Self(vec![]) } pub fn matches(&self, _:&Origin<'_>, _:AnyOrigin)->bool{false} }
pub fn audience_matches(_:&str,_:&Origin<'_>,_:AnyOrigin)->bool{false}
