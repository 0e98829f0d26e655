//! `p21auth token` and `p21auth ui-url`.

use serde_json::json;
use zeroize::Zeroizing;

use p21auth::internal::clock::{Clock as _, SystemClock};

use super::args::{TokenArgs, UiUrlArgs};
use super::failure::Failure;
use super::heal;
use super::output;

/// Prints a token.
pub(super) fn token(args: &TokenArgs) -> Result<(), Failure> {
    let client = args.connection.open()?;
    if args.rejected {
        heal::drop_rejected(&client)?;
    }
    let token = client.token()?;
    if args.json {
        output::json(&token.to_json(SystemClock.now()))?;
    } else if args.header {
        output::value(&Zeroizing::new(format!(
            "Authorization: {}",
            token.with_scheme()
        )))?;
    } else {
        output::value(token.value())?;
    }
    Ok(())
}

/// Prints the UI server's URL.
pub(super) fn ui_url(args: &UiUrlArgs) -> Result<(), Failure> {
    let url = args.connection.open()?.ui_url()?;
    if args.json {
        output::json(&json!({ "Url": &*url }).to_string())?;
    } else {
        output::value(&url)?;
    }
    Ok(())
}
