//! What is kept from view, in the wrong way.

use forge::prelude::*;

#[forge::job]
async fn invite(ctx: &JobContext, #[sensitive] code: String) -> Result<()> { //~
    Ok(())
}

#[forge::data]
struct Invitation {
    email: String,
    #[sensitive] //~
    code: String,
}

#[forge::model(table = "invitations")]
struct StoredInvitation {
    #[id]
    id: Uuid,
    code: Secret<String>, //~
}

#[forge::job]
async fn send(ctx: &JobContext, code: Secret<String>) -> Result<()> {
    ctx.log.info(format!("https://shop.example/join#{code}")); //~
    Ok(())
}

fn main() {}
