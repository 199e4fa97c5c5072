//! The one walk over a chat request.

use std::borrow::Cow;

use super::members::{Fault, OF_MESSAGE, OF_REQUEST, Seen};
use super::{CHOICES_MAX, ChatRequest, Message, OUTSIDE_MESSAGES, Place, RequestError, Role};
use crate::json::{self, Checked, Kind, Span, name};
use crate::limits::MESSAGES_MAX;
use crate::reply::Code;

mod call;
mod values;

pub(super) use call::read as read_call;

pub(super) fn read(body: &[u8]) -> Result<ChatRequest, RequestError> {
    let mut reader = Reader::new(body);
    let read = reader.request();
    reader.finish(read)?;
    let mut found = reader.found;
    found.output_cap = reader.max_completion_tokens.or(reader.max_tokens);
    Ok(found)
}

struct Reader<'a> {
    walk: Checked<'a>,
    body: &'a [u8],
    found: ChatRequest,
    max_completion_tokens: Option<u64>,
    max_tokens: Option<u64>,
    /// Index of the message being read.
    message: u32,
}

impl<'a> Reader<'a> {
    /// Stands in front of a document that nobody has looked at.
    fn new(body: &'a [u8]) -> Reader<'a> {
        Reader {
            walk: Checked::new(body),
            body,
            found: ChatRequest {
                choices: 1,
                ..ChatRequest::default()
            },
            max_completion_tokens: None,
            max_tokens: None,
            message: OUTSIDE_MESSAGES,
        }
    }

    /// Steps into the document.
    fn open(&mut self) -> Result<(), RequestError> {
        self.found.root.start = self.walk.position();
        if self.walk.enter(b'{') {
            return Ok(());
        }
        Err(RequestError {
            code: Code::InvalidRequest,
            param: None,
            message: "The request body must be a JSON object".to_owned(),
        })
    }

    /// What was read counts once the whole document turns out to be one, and so does what is wrong
    /// with it.
    fn finish(&mut self, read: Result<(), RequestError>) -> Result<(), RequestError> {
        self.found.root.end = self.walk.passed();
        if read.is_ok() && self.walk.finish() {
            return Ok(());
        }
        let malformed = match (json::document(self.body), read) {
            (Ok(_), Err(error)) => return Err(error),
            (document, _) => document.err(),
        };
        let why = malformed.map_or_else(String::new, |malformed| format!(": {malformed}"));
        Err(RequestError {
            code: Code::InvalidJson,
            param: None,
            message: format!("The request body is not valid JSON{why}"),
        })
    }

    fn request(&mut self) -> Result<(), RequestError> {
        self.open()?;
        let mut seen = Seen::default();
        while let Some(key) = self.walk.key() {
            let name = &*name(self.body, key);
            seen.note(OF_REQUEST, name)
                .map_err(|(member, fault)| repeated(member.to_owned(), fault))?;
            let start = self.walk.position();
            match name {
                b"messages" => self.messages()?,
                b"prediction" => self.part(),
                // Looked up among the models that are configured.
                b"model" => self.pass(),
                b"function_call" | b"functions" | b"guided_json" | b"response_format"
                | b"tool_choice" | b"tools" => self.definition(),
                _ => self.free(),
            }
            let end = self.walk.passed();
            self.parameter(name, Span { start, end })?;
        }
        if self.found.model.is_empty() {
            return Err(RequestError::invalid(
                "model",
                "you must provide a model parameter",
            ));
        }
        if self.found.messages.is_empty() {
            return Err(RequestError::invalid(
                "messages",
                "'messages' must hold a message or more",
            ));
        }
        Ok(())
    }

    /// A member of the request that Weir acts upon.
    fn parameter(&mut self, name: &[u8], value: Span) -> Result<(), RequestError> {
        let body = self.body;
        let kind = json::kind(body, value);
        match name {
            b"model" => {
                let model = json::string(body, value)
                    .ok_or_else(|| RequestError::invalid("model", "'model' must be a string"))?;
                self.found.model = model.into_owned();
                self.found.model_span = value;
            }
            b"stream" if kind == Some(Kind::Null) => self.found.stream = false,
            b"stream" => {
                self.found.stream = json::boolean(body, value)
                    .ok_or_else(|| RequestError::invalid("stream", "'stream' must be a boolean"))?;
            }
            b"stream_options" => {
                let object = Some(value).filter(|_| kind == Some(Kind::Object));
                let wish = object.and_then(|object| json::member(body, object, "include_usage"));
                self.found.stream_options = object;
                self.found.include_usage = wish
                    .and_then(|wish| json::boolean(body, wish))
                    .unwrap_or_default();
            }
            b"n" => self.found.choices = self.choices(value)?,
            b"max_completion_tokens" => {
                self.max_completion_tokens = self.cap("max_completion_tokens", value)?;
            }
            b"max_tokens" => self.max_tokens = self.cap("max_tokens", value)?,
            b"user" => self.found.user = json::string(body, value).map(Cow::into_owned),
            b"tools" => self.found.tools = Some(value).filter(|_| kind == Some(Kind::Array)),
            _ => {}
        }
        Ok(())
    }

    fn choices(&self, value: Span) -> Result<u32, RequestError> {
        if json::kind(self.body, value) == Some(Kind::Null) {
            return Ok(1);
        }
        json::number_u64(self.body, value)
            .filter(|choices| (1..=CHOICES_MAX).contains(choices))
            .and_then(|choices| u32::try_from(choices).ok())
            .ok_or_else(|| {
                RequestError::invalid(
                    "n",
                    format!("'n' must be an integer from 1 to {CHOICES_MAX}"),
                )
            })
    }

    fn cap(&self, name: &str, value: Span) -> Result<Option<u64>, RequestError> {
        if json::kind(self.body, value) == Some(Kind::Null) {
            return Ok(None);
        }
        json::number_u64(self.body, value).map(Some).ok_or_else(|| {
            RequestError::invalid(name, format!("'{name}' must be a non-negative integer"))
        })
    }

    fn messages(&mut self) -> Result<(), RequestError> {
        if !self.walk.enter(b'[') {
            return Err(RequestError::invalid(
                "messages",
                "'messages' must be an array",
            ));
        }
        while self.walk.element() {
            if self.found.messages.len() >= MESSAGES_MAX {
                let message = format!("'messages' must hold at most {MESSAGES_MAX} messages");
                return Err(RequestError::invalid("messages", message));
            }
            self.message = u32::try_from(self.found.messages.len()).unwrap_or(OUTSIDE_MESSAGES);
            let message = self.one_message()?;
            self.found.messages.push(message);
        }
        self.message = OUTSIDE_MESSAGES;
        Ok(())
    }

    fn one_message(&mut self) -> Result<Message, RequestError> {
        let start = self.walk.position();
        if !self.walk.enter(b'{') {
            return Err(self.wrong_message("", "must be an object"));
        }
        let first_text = self.found.texts.len();
        let mut role = None;
        let mut has_name = false;
        let mut seen = Seen::default();
        while let Some(key) = self.walk.key() {
            let name = &*name(self.body, key);
            seen.note(OF_MESSAGE, name).map_err(|(member, fault)| {
                repeated(format!("messages[{}].{member}", self.message), fault)
            })?;
            match name {
                b"role" => role = Some(self.role()?),
                b"content" => self.content()?,
                b"name" => has_name = self.text_of(Place::Name),
                b"tool_calls" => self.tool_calls(),
                b"function_call" => self.function(),
                b"reasoning" | b"reasoning_content" | b"reasoning_details" | b"refusal"
                | b"thinking" => self.parts(),
                _ => self.attached(key),
            }
        }
        let role = role.ok_or_else(|| self.wrong_message(".role", "is required"))?;
        for text in self.found.texts.iter_mut().skip(first_text) {
            if text.place == Place::Other {
                text.place = role.place();
            }
        }
        Ok(Message {
            span: Span {
                start,
                end: self.walk.passed(),
            },
            role,
            has_name,
        })
    }

    fn role(&mut self) -> Result<Role, RequestError> {
        let value = self.walk.skip().unwrap_or_default();
        json::string(self.body, value)
            .map(|role| Role::of(&role))
            .ok_or_else(|| self.wrong_message(".role", "must be a string"))
    }

    fn content(&mut self) -> Result<(), RequestError> {
        match self.walk.kind() {
            Some(Kind::Null | Kind::String | Kind::Array) => self.parts(),
            _ => return Err(self.wrong_message(".content", "must be a string, an array or null")),
        }
        Ok(())
    }

    /// A text, a part, or a list of them. Recursion ends at the validated depth of the document.
    fn parts(&mut self) {
        match self.walk.kind() {
            Some(Kind::String) => {
                self.text_of(Place::Other);
            }
            Some(Kind::Array) => {
                self.walk.enter(b'[');
                while self.walk.element() {
                    self.parts();
                }
            }
            Some(Kind::Object) => self.part(),
            _ => self.pass(),
        }
    }

    /// A part of any type: its texts go by name, so that a type not known yet is covered.
    fn part(&mut self) {
        if !self.walk.enter(b'{') {
            return self.pass();
        }
        let (mut image, mut low) = (false, false);
        while let Some(key) = self.walk.key() {
            match &*name(self.body, key) {
                b"content" | b"input_text" | b"refusal" | b"summary" | b"text" | b"thinking" => {
                    self.parts();
                }
                b"input" | b"arguments" => self.arguments(),
                // Thinking that only its provider can read; sound.
                b"data" | b"input_audio" | b"audio" => self.pass(),
                b"type" => {
                    let value = self.walk.skip().unwrap_or_default();
                    image |= matches!(
                        value.of(self.body),
                        b"\"image_url\"" | b"\"input_image\"" | b"\"image\""
                    );
                }
                b"image_url" => {
                    let start = self.walk.position();
                    self.address();
                    let end = self.walk.passed();
                    image = true;
                    low |= json::member(self.body, Span { start, end }, "detail")
                        .is_some_and(|detail| detail.of(self.body) == b"\"low\"");
                }
                b"detail" => {
                    low |= self.walk.skip().unwrap_or_default().of(self.body) == b"\"low\""
                }
                _ => self.attached(key),
            }
        }
        self.found.images = self.found.images.saturating_add(u32::from(image));
        self.found.images_low = self
            .found
            .images_low
            .saturating_add(u32::from(image && low));
    }

    fn tool_calls(&mut self) {
        if !self.walk.enter(b'[') {
            return self.pass();
        }
        while self.walk.element() {
            if !self.walk.enter(b'{') {
                self.pass();
                continue;
            }
            while let Some(key) = self.walk.key() {
                match &*name(self.body, key) {
                    b"function" | b"custom" => self.function(),
                    _ => self.attached(key),
                }
            }
        }
    }

    /// What a tool is called with: `arguments` of a function, `input` of a custom tool.
    fn function(&mut self) {
        if !self.walk.enter(b'{') {
            return self.pass();
        }
        while let Some(key) = self.walk.key() {
            match &*name(self.body, key) {
                b"arguments" => self.arguments(),
                b"input" => self.strings(),
                b"name" => self.label(),
                _ => self.attached(key),
            }
        }
    }

    /// A JSON document in a string; some clients send the document itself.
    fn arguments(&mut self) {
        if self.walk.kind() == Some(Kind::String) {
            self.text_of(Place::ToolArguments);
        } else {
            self.strings();
        }
    }

    /// Every string value in the value at the cursor.
    fn strings(&mut self) {
        match self.walk.kind() {
            Some(Kind::String) => {
                self.text_of(Place::Other);
            }
            Some(Kind::Array) => {
                self.walk.enter(b'[');
                while self.walk.element() {
                    self.strings();
                }
            }
            Some(Kind::Object) => {
                self.walk.enter(b'{');
                while self.walk.key().is_some() {
                    self.strings();
                }
            }
            _ => self.pass(),
        }
    }

    /// Notes the string at the cursor; passes anything else and says `false`.
    fn text_of(&mut self, place: Place) -> bool {
        let Some((span, escaped)) = self.walk.string() else {
            self.pass();
            return false;
        };
        self.note(span, escaped, place);
        true
    }

    fn pass(&mut self) {
        self.walk.skip();
    }

    fn wrong_message(&self, member: &str, what: &str) -> RequestError {
        let param = format!("messages[{}]{member}", self.message);
        let message = format!("'{param}' {what}");
        RequestError::invalid(param, message)
    }
}

fn repeated(member: String, fault: Fault) -> RequestError {
    let message = match fault {
        Fault::Twice => format!("'{member}' is given more than once"),
        Fault::Case => format!("'{member}' must be written in lower case"),
    };
    RequestError::invalid(member, message)
}
