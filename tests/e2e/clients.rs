//! Clients that people use, unmodified: `async-openai`, curl, and packages of other languages.

pub(crate) mod packages;

use std::process::Command;
use std::sync::Arc;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs,
};
use e2e::artefact;
use e2e::gateway::Gateway;
use e2e::process::run;
use e2e::run_cases;
use e2e::setup::{ADMIN_TOKEN, KEY, Setup};
use futures_util::StreamExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unmodified_clients_work() {
    let gateway = Arc::new(Gateway::start(Setup::default()).await);
    run_cases!(
        gateway,
        [
            async_openai_chat,
            async_openai_stream,
            async_openai_models,
            async_openai_error,
            python,
            curl
        ]
    );
}

fn client(gateway: &Gateway, key: &str) -> Client<OpenAIConfig> {
    Client::with_config(
        OpenAIConfig::new()
            .with_api_base(gateway.url("/v1"))
            .with_api_key(key),
    )
}

fn request(model: &str, text: &str) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default()
        .content(text)
        .build();
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([message.expect("message").into()])
        .build()
        .expect("request")
}

async fn async_openai_chat(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet", "llama3:8b"] {
        let answer = client(&gateway, KEY)
            .chat()
            .create(request(model, "Xin chào!"))
            .await;
        let answer = answer.unwrap_or_else(|error| panic!("{model}: {error}"));
        assert_eq!(
            answer.choices[0].message.content.as_deref(),
            Some("Echo: Xin chào!")
        );
        assert!(answer.usage.is_some_and(|usage| usage.total_tokens > 0));
    }
}

async fn async_openai_stream(gateway: Arc<Gateway>) {
    for model in ["gpt-4o-mini", "claude-3-sonnet"] {
        let wanted = request(model, "một hai ba");
        let mut stream = client(&gateway, KEY)
            .chat()
            .create_stream(wanted)
            .await
            .expect("stream");
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.unwrap_or_else(|error| panic!("{model}: {error}"));
            let delta = chunk
                .choices
                .first()
                .and_then(|choice| choice.delta.content.clone());
            text.push_str(&delta.unwrap_or_default());
        }
        assert_eq!(text, "Echo: một hai ba", "{model}");
    }
}

async fn async_openai_models(gateway: Arc<Gateway>) {
    let list = client(&gateway, KEY).models().list().await.expect("models");
    assert!(
        list.data.iter().any(|model| model.id == "gpt-4o-mini"),
        "{list:?}"
    );
}

async fn async_openai_error(gateway: Arc<Gateway>) {
    let error = client(&gateway, "vk-nobody")
        .chat()
        .create(request("gpt-4o-mini", "x"))
        .await;
    let text = format!("{:?}", error.expect_err("an unknown key"));
    assert!(text.contains("invalid_api_key"), "{text}");
}

async fn python(gateway: Arc<Gateway>) {
    let arguments = [
        gateway.url(""),
        KEY.to_owned(),
        ADMIN_TOKEN.to_owned(),
        gateway.provider.url(""),
    ];
    packages::python("quick_reference.py", arguments).await;
}

async fn curl(gateway: Arc<Gateway>) {
    let Some(curl) = artefact::on_path("curl") else {
        panic!("curl is missing")
    };
    let url = gateway.url("/v1/chat/completions");
    let body = r#"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}"#;
    let mut command = Command::new(curl);
    command.args([
        "-sS",
        "-X",
        "POST",
        &url,
        "-H",
        "Content-Type: application/json",
    ]);
    command.args(["-H", &format!("Authorization: Bearer {KEY}"), "-d", body]);
    command.args([
        "-H",
        r#"x-portkey-config: {"strategy": "single", "provider": "openai"}"#,
    ]);
    let ended = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .expect("curl");
    assert!(ended.1.contains("Echo: Hello!"), "{ended:?}");
}
