//! What this deployment says of itself, and the Edges that its console lists: deployments of their own, each asked at its admin
//! port for its status document.

mod edges;

use http::Uri;
use voicegain_auth_console::Deployment;

pub(crate) use self::edges::Edges;
use crate::cli::Args;
use crate::store;

/// The longest name of a deployment, in characters.
const LONGEST_NAME: usize = 64;

/// Why a deployment or an Edge cannot be told of. None of it shows a URL, which somebody may have put a password into.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentsError {
    /// The name of this deployment is none.
    #[error("--deployment-name: {NAME}")]
    Name,
    /// The address of the console is none.
    #[error("--console-url: {URL}, as in https://console.example/console")]
    ConsoleUrl,
    /// There is no name in front of an Edge's URL.
    #[error(
        "--edge: write a name, = and the URL of its admin port, as in berlin=https://edge.example:8081; {NAME}"
    )]
    EdgeName,
    /// The URL of an Edge is none.
    #[error("--edge {0}: {URL}, that of its admin port, as in {0}=https://edge.example:8081")]
    EdgeUrl(String),
    /// Two Edges have one name.
    #[error("--edge {0}: there are two of this name; choose another one")]
    EdgeTwice(String),
    /// There is nothing to hold certificates against.
    #[error(
        "--edge {0}: its URL is https://, and this system has no certificates of authorities to hold its own against; \
         install them (in Debian: ca-certificates), or name a file that has them with SSL_CERT_FILE"
    )]
    NoAuthorities(String),
    /// TLS cannot be set up.
    #[error("--edge: TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

const NAME: &str = "a name has 1 to 64 characters that can be seen";
const URL: &str = "write a URL that begins with http:// or https:// and has no password, query or fragment";

impl DeploymentsError {
    /// The settings that it may come from.
    pub(crate) fn settings(&self) -> &'static [&'static str] {
        match self {
            Self::Name => &["deployment-name"],
            Self::ConsoleUrl => &["console-url"],
            _ => &["edge"],
        }
    }
}

/// What this deployment says of itself.
pub(crate) fn own(args: &Args) -> Result<Deployment, DeploymentsError> {
    let mut own = Deployment::new(env!("CARGO_PKG_VERSION"));
    if let Some(name) = &args.deployment_name {
        own = own.name(name_of(name).ok_or(DeploymentsError::Name)?);
    }
    if let Some(kind) = store::kind(&args.store) {
        own = own.store(kind);
    }
    if let Some(url) = &args.console_url {
        web_url(url).ok_or(DeploymentsError::ConsoleUrl)?;
        own = own.console_url(url);
    }
    Ok(own)
}

fn name_of(text: &str) -> Option<&str> {
    let name = text.trim();
    let fits = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.contains(char::is_control);
    fits.then_some(name)
}

/// Without what may be a password, and without a query.
fn web_url(text: &str) -> Option<Uri> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte));
    let uri: Uri = text.parse().ok().filter(|_| is_plain)?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_web && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::serving;

    fn problem(words: &[&str]) -> String {
        let args = serving(words);
        let problem = own(&args).err().or_else(|| Edges::of(&args).err()).unwrap();
        let text = problem.to_string();
        assert!(!text.contains("hush"), "{text}");
        assert!(text.starts_with(words[0]) && problem.settings() == [words[0].trim_start_matches("--")]);
        text
    }

    #[test]
    fn what_cannot_be_told_of_is_said_and_no_url_shows() {
        let long = "x".repeat(65);
        for name in ["", " ", "a\nb", &long] {
            assert!(problem(&["--deployment-name", name]).contains("1 to 64 characters"), "{name}");
        }
        for url in [
            "console.example",
            "ftp://console.example",
            "javascript:alert(1)",
            "https://user:hush@console.example",
            "https://console.example/?hush",
            "https://console.example/#hush",
            "https:///console",
            "https://console.example/\u{e4}",
        ] {
            assert!(problem(&["--console-url", url]).contains("begins with http:// or https://"), "{url}");
            let problem = problem(&["--edge", &format!("berlin={url}")]);
            assert!(problem.starts_with("--edge berlin: write a URL"), "{problem}");
        }
        for text in [
            "https://edge.example",
            "=https://edge.example",
            "a\u{0}=https://edge.example",
            "https://a:hush@b/?c=d",
        ] {
            assert!(problem(&["--edge", text]).contains("a name has"), "{text}");
        }
        let twice = ["--edge", "a=http://a.example", "--edge", " a =http://b.example"];
        assert!(problem(&twice).contains("two of this name"));
    }

    #[test]
    fn what_can_be_told_of_is_taken() {
        let args = serving(&["--deployment-name", "Köln", "--console-url", "https://[::1]:8443/console"]);
        assert!(own(&args).is_ok() && Edges::of(&args).unwrap().is_none());
        let edges = Edges::of(&serving(&["--edge", "a b=http://192.0.2.7:8081/", "--edge", "c=http://c/x"]));
        assert!(edges.unwrap().is_some());
    }
}
