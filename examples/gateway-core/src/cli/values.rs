//! What a flag's value is read from.

use std::net::Ipv6Addr;
use std::time::Duration;

use http::uri::Authority;
use voicegain_auth_core::TokenSources;

pub(super) fn token_sources(text: &str) -> Result<TokenSources, String> {
    let mut sources = TokenSources::none();
    for source in text.split(',') {
        let twice = match source.split_once(':') {
            None if source == "header" => std::mem::replace(&mut sources.header, true),
            None if source == "query" => std::mem::replace(&mut sources.query, true),
            None if source == "protocol" => std::mem::replace(&mut sources.protocol, true),
            Some(("cookie", name)) if !name.is_empty() => sources.cookie.replace(name.to_owned()).is_some(),
            _ => return Err(format!("`{source}` is no source: use header, query, protocol or cookie:NAME")),
        };
        if twice {
            return Err(format!("`{source}` is there twice"));
        }
    }
    Ok(sources)
}

/// A name, or an address, as it stands in a `Host` header.
pub(super) fn admin_host(text: &str) -> Result<String, String> {
    let fits = text.parse::<Authority>().is_ok_and(|authority| {
        let host = authority.host();
        let whole = match authority.port() {
            Some(port) => text == format!("{host}:{port}"),
            None => text == host,
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        whole
            && match bracketed {
                Some(address) => address.parse::<Ipv6Addr>().is_ok(),
                None => !host.is_empty() && host.bytes().all(plain),
            }
    });
    if fits {
        Ok(text.to_owned())
    } else {
        Err("write a host name or an IP address, as in gateway.example or [2001:db8::1]".to_owned())
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || "write a whole number and a unit, as in 500ms, 30s, 5m or 1h".to_owned();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" | "" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    }
    .ok_or_else(wrong)
}

pub(super) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "write a number from 0 to 1, as in 0.05".to_owned())
}
