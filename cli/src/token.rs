//! `p21auth token` and `p21auth ui-url`.

use zeroize::Zeroizing;

use p21auth::clock::{Clock as _, SystemClock};

use super::args::{TokenArgs, UiUrlArgs};
use super::failure::Failure;
use super::output;

/// Prints a token.
pub(super) fn token(args: &TokenArgs) -> Result<(), Failure> {
    let token = args.connection.open()?.token()?;
    if args.json {
        output::value(&token.to_json(SystemClock.now()))?;
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
    Ok(output::value(&args.connection.open()?.ui_url()?)?)
}
