//! The program as it is started: what it asks for, and that it says what is missing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voicegain-browser-example"));
    command.args(arguments).env_remove("VOICEGAIN_TOKEN").env_remove("VOICEGAIN_TOKEN_FILE");
    command
}

/// What it says when it does not start.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it, and reads where it listens. What else it prints can be read on.
fn start(arguments: &[&str]) -> (Running, BufReader<ChildStdout>, String) {
    let mut running = Running(program(arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut printed = BufReader::new(running.0.stdout.take().unwrap());
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    let address = line.trim().rsplit_once("http://").expect("an address").1.to_owned();
    (running, printed, address)
}

#[test]
fn without_a_token_it_says_where_to_put_one() {
    let said = refusal(&mut program(&["page", "--listen", "127.0.0.1:0"]));
    assert!(said.contains("VOICEGAIN_TOKEN"), "{said}");
}

#[test]
fn a_token_is_not_shown_when_it_is_none() {
    let said = refusal(program(&["page", "--listen", "127.0.0.1:0"]).env("VOICEGAIN_TOKEN", "half.a"));
    assert!(said.contains("that is no token") && !said.contains("half.a"), "{said}");
}

#[test]
fn two_tokens_are_one_too_many() {
    let said = refusal(program(&["page", "--token-file", "x"]).env("VOICEGAIN_TOKEN", "a.b.c"));
    assert!(said.contains("two tokens") && !said.contains("a.b.c"), "{said}");
}

#[test]
fn an_api_that_is_not_there_is_told_at_the_start() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = format!("http://{closed}/v1");
    let mut command = program(&["page", "--listen", "127.0.0.1:0", "--api", &api]);
    let said = refusal(command.env("VOICEGAIN_TOKEN", "a.b.c"));
    assert!(said.contains("no answer") && said.contains(&api), "{said}");
    assert!(!said.contains("a.b.c"), "{said}");
}

#[test]
fn the_upstream_says_what_it_was_sent() {
    let (_running, mut printed, address) = start(&["upstream", "--listen", "127.0.0.1:0"]);
    let mut connection = TcpStream::connect(&address).unwrap();
    let request =
        "GET /v1/hello HTTP/1.1\r\nHost: x\r\nx-voicegain-account-id: acme\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(r#""hello":"acme""#) && answer.contains(r#""tokenArrived":false"#), "{answer}");
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    assert!(line.starts_with("GET /v1/hello from the page"), "{line}");
}
