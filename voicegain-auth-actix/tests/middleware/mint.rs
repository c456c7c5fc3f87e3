use actix_web::http::header::CACHE_CONTROL;
use actix_web::{App, HttpRequest, HttpResponse, web};
use voicegain_auth_actix::{Identity, Rejected};
use voicegain_auth_core::Issuer;

use crate::support::{World, all_sources, serve};

/// As the README has it.
async fn mint(
    identity: Identity,
    issuer: web::Data<Issuer>,
    request: HttpRequest,
) -> Result<HttpResponse, Rejected> {
    let token = issuer.mint(&identity, request.uri().query())?;
    let mut response = HttpResponse::Ok();
    Ok(response.content_type("text/plain").insert_header((CACHE_CONTROL, "no-store")).body(token))
}

async fn account(identity: Identity) -> String {
    identity.account_id().to_string()
}

#[test]
fn m2_m3_a_mint_route_of_the_applications_own() {
    let world = World::new();
    let (auth, issuer) = (world.auth(all_sources()), web::Data::new(world.issuer.clone()));
    let server = serve!(
        App::new()
            .app_data(issuer.clone())
            .service(web::resource("/v1/security/jwt").route(web::get().to(mint)))
            .route("/v1/x", web::get().to(account))
            .wrap(auth.clone())
    );
    let path = "GET /v1/security/jwt?aud=https://app.test";

    let minted = server.bearer(path, world.token());
    assert_eq!(minted.header("content-type").as_deref(), Some("text/plain"));
    assert_eq!(minted.header("cache-control").as_deref(), Some("no-store"));
    let short_lived = minted.accepted();
    assert_eq!(server.bearer("GET /v1/x", short_lived).accepted(), "acc-1");

    for (start, token, status, reason) in [
        ("GET /v1/security/jwt", world.token(), 400, "invalid_parameter"),
        ("GET /v1/security/jwt?aud=*&whatever=1", world.token(), 400, "invalid_parameter"),
        (path, short_lived, 403, "insufficient_scope"),
    ] {
        let refused = server.bearer(start, token);
        refused.refused(status, reason);
        assert_eq!(refused.header("content-type").as_deref(), Some("application/json"), "{start}");
        assert_eq!(refused.header("cache-control").as_deref(), Some("no-store"), "{start}");
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        assert_eq!(challenge.contains("insufficient_scope"), status == 403, "{challenge}");
    }
    server.send(path, &[]).refused(401, "missing_token");
    assert_eq!(server.bearer(&path.replace("GET", "POST"), world.token()).status, 405);
    // What carried the token is not a parameter.
    let in_query = format!("{path}&access_token={}", world.token());
    let minted = server.send(&in_query, &[("Sec-Fetch-Site", "same-origin")]);
    assert_eq!(server.bearer("GET /v1/x", minted.accepted()).accepted(), "acc-1");
}
