//! `nexo integration`: creates, lists and removes integrations. A secret is shown once, when it is created.

use anyhow::{Context, bail};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use nexo_actors::clock::unix_ms;
use nexo_domain::ids::IntegrationId;
use nexo_domain::integration::{HookBody, HookSecret, Kind, Pointer};
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::integrations::Integration;
use serde_json::json;

use crate::cli::output::CommandOutput;
use crate::cli::{args, database};
use crate::config::Config;
use crate::database::installation;
use crate::integrations::{self, HookKeys};

/// The subcommands of `nexo integration`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create an integration: an auth server that sends its codes with its own hook. Its secret is shown only once
    Create {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: String,
        /// The auth server, or `custom` for one with a body of its own
        #[arg(long, value_parser = kind())]
        kind: Kind,
        /// A name to distinguish it from the account's other integrations
        #[arg(long, value_parser = args::name)]
        name: String,
        /// The secret that the auth server has made [default: a new one]
        #[arg(long)]
        secret: Option<String>,
        /// For `custom`: the JSON pointer to the phone number in the body, such as /user/phone
        #[arg(long, value_name = "POINTER", value_parser = pointer, required_if_eq("kind", "custom"))]
        phone_pointer: Option<Pointer>,
        /// For `custom`: the JSON pointer to the code in the body, such as /code
        #[arg(long, value_name = "POINTER", value_parser = pointer, required_if_eq("kind", "custom"))]
        code_pointer: Option<Pointer>,
    },
    /// List integrations
    List {
        /// The account's e-mail address
        #[arg(long, value_name = "EMAIL", value_parser = args::email)]
        account: Option<String>,
    },
    /// Remove an integration: its URL stops working within a second
    Remove {
        /// The integration's id, as shown by `nexo integration list`
        id: IntegrationId,
    },
}

fn kind() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name))
        .map(|name| Kind::named(&name).expect("one of the possible values"))
}

fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::parse(text).map_err(|error| error.to_string())
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let store = database::open(config).await?;
    match command {
        Command::Create { account, kind, name, secret, phone_pointer, code_pointer } => {
            let pointers = phone_pointer.zip(code_pointer);
            let Some(body) = HookBody::new(kind, pointers) else {
                bail!("--phone-pointer and --code-pointer are for --kind custom only");
            };
            let secret = match secret {
                Some(text) => HookSecret::parse(kind, &text)?,
                None => integrations::new_secret(kind),
            };
            create(config, &store, &account, &name, &body, &secret).await
        }
        Command::List { account } => list(config, &store, account.as_deref()).await,
        Command::Remove { id } => remove(&store, id).await,
    }
}

fn url(config: &Config, kind: Kind, id: IntegrationId) -> String {
    let public_url = config.server.public_url.trim_end_matches('/');
    format!("{public_url}{}", integrations::path(kind, id))
}

async fn create(
    config: &Config,
    store: &Store,
    email: &str,
    name: &str,
    body: &HookBody,
    secret: &HookSecret,
) -> anyhow::Result<CommandOutput> {
    let account = database::open_account(store, email).await?;
    let secret_of_installation = installation::secret_for_command(config, store).await?;
    let keys = HookKeys::of(secret_of_installation.as_ref());
    let id = integrations::create(store, &keys, account.id, name, body, secret).await?;
    let kind = body.kind();
    let url = url(config, kind, id);
    let text = format!(
        "Created integration {name:?} ({kind}) for {email}. Set {} to this URL:\n\n  {url}\n\n\
         Its secret is shown only once:\n\n  {}\n\n\
         Remove it with:  nexo integration remove {id}",
        kind.product(),
        secret.reveal()
    );
    let json = json!({ "id": id, "kind": kind.name(), "url": url, "secret": secret.reveal() });
    Ok(CommandOutput::new(text, json))
}

async fn list(
    config: &Config,
    store: &Store,
    email: Option<&str>,
) -> anyhow::Result<CommandOutput> {
    let account = database::account_filter(store, email).await?;
    let integrations = store.accounts().integrations(account).await?;
    let emails = database::emails(store).await?;
    let email_of = |one: &Integration| emails.get(&one.account_id).cloned().unwrap_or_default();
    Ok(CommandOutput::list(
        "integrations",
        &integrations,
        "No integrations yet. Create one: nexo integration create --account EMAIL --kind KIND --name NAME",
        ["ACCOUNT", "NAME", "KIND", "LAST USED", "ID"],
        |one| {
            [
                email_of(one),
                one.name.clone(),
                one.body.kind().to_string(),
                one.last_used_at_ms.map_or("never".to_owned(), rfc3339),
                one.id.to_string(),
            ]
        },
        |one| {
            let pointers = one.body.pointers();
            json!({
                "id": one.id,
                "account": email_of(one),
                "kind": one.body.kind().name(),
                "name": one.name,
                "url": url(config, one.body.kind(), one.id),
                "phone_pointer": pointers.map(|(phone, _)| phone.as_str()),
                "code_pointer": pointers.map(|(_, code)| code.as_str()),
                "created_at": rfc3339(one.created_at_ms),
                "last_used_at": one.last_used_at_ms.map(rfc3339),
            })
        },
    ))
}

async fn remove(store: &Store, id: IntegrationId) -> anyhow::Result<CommandOutput> {
    let removed = store.accounts().remove_integration(id, None, unix_ms()).await?;
    removed.then_some(()).with_context(|| {
        format!("no integration {id}; `nexo integration list` shows all of them")
    })?;
    let text = format!("Removed integration {id}. Its URL stops working within a second.");
    Ok(CommandOutput::new(text, json!({ "id": id, "removed": true })))
}
