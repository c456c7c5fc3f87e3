//! A page that calls an API across origins with short-lived tokens.
//!
//! Two servers: `page` serves the page and keeps the long-lived token; `upstream` is the API that a gateway stands in front
//! of. README.md says in which order to start what.

mod page;
mod upstream;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use axum::Router;
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use voicegain_auth_client::{LongLivedToken, TokenMinter};

#[derive(Parser)]
#[command(
    about = "A page that calls an API across origins with short-lived tokens, and the two servers it takes"
)]
struct Cli {
    #[command(subcommand)]
    server: Server,
}

#[derive(Subcommand)]
enum Server {
    /// The API that the gateway is started in front of: says hello, and echoes on a WebSocket
    Upstream {
        /// The address it is served on; port 0 takes a free one
        #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
    },
    /// The page, and the short-lived tokens for it
    Page(PageArgs),
}

/// The token itself is in the environment or in a file: other users of the machine may see a flag.
#[derive(Args)]
struct PageArgs {
    /// The address the page is served on; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    /// The API's URL, as the page reaches it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/v1")]
    api: String,

    /// A file that holds the long-lived token, if VOICEGAIN_TOKEN does not
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// How many seconds the page's tokens live, 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    lifetime: u64,
}

#[tokio::main]
async fn main() {
    let outcome = match Cli::parse().server {
        Server::Upstream { listen } => serve("upstream", listen, |_| Ok(upstream::router())).await,
        Server::Page(args) => serve_page(args).await,
    };
    if let Err(problem) = outcome {
        eprintln!("{}", with_causes(&*problem));
        std::process::exit(1);
    }
}

/// An error, and what it comes of.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

async fn serve_page(args: PageArgs) -> Result<(), Box<dyn Error>> {
    let token = long_lived_token(args.token_file)?;
    let minter = TokenMinter::new(&*args.api, token)?;
    // So that what is wrong is told here, and not in the page. This one is for nobody.
    minter
        .mint("https://nobody.invalid")
        .await
        .map_err(|error| format!("no token from {}: {}", args.api, with_causes(&error)))?;
    let lifetime = Duration::from_secs(args.lifetime);
    serve("page", args.listen, |address| page::router(minter, &args.api, address, lifetime)).await
}

fn long_lived_token(file: Option<PathBuf>) -> Result<LongLivedToken, Box<dyn Error>> {
    let text = match (env::var("VOICEGAIN_TOKEN").ok().filter(|token| !token.is_empty()), file) {
        (Some(_), Some(_)) => {
            return Err("there are two tokens: leave out VOICEGAIN_TOKEN, or the file".into());
        }
        (Some(token), None) => token,
        (None, Some(file)) => {
            fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        (None, None) => {
            return Err(
                "put a long-lived token into the environment variable VOICEGAIN_TOKEN, or name a file that \
                        holds one by --token-file"
                    .into(),
            );
        }
    };
    Ok(LongLivedToken::new(text)?)
}

async fn serve(
    name: &str,
    listen: SocketAddr,
    router: impl FnOnce(SocketAddr) -> Result<Router, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}; name another address by --listen"))?;
    let address = listener.local_addr()?;
    let router = router(address)?;
    println!("{name} on http://{address}");
    Ok(axum::serve(listener, router).await?)
}
