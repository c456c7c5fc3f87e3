//! The service, said here instead of in a `.proto` file, so that the example needs no `protoc`.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name: &str, route: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type("crate::Text")
            .output_type("crate::Text")
            .codec_path("tonic_prost::ProstCodec")
    };
    let talk = Service::builder()
        .name("Talk")
        .package("example")
        .method(method("hello", "Hello").build())
        .method(method("collect", "Collect").client_streaming().build())
        .method(method("count", "Count").server_streaming().build())
        .method(method("chat", "Chat").client_streaming().server_streaming().build())
        .build();
    Builder::new().compile(&[talk]);
}
