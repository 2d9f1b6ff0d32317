//! Sessions of a node that loses its reactor.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use forge_actors::kernel::byte_budget::ByteBudget;
use forge_actors::kernel::fault::Code;
use forge_actors::kernel::ids::NodeId;
use forge_actors::session::config::SessionsConfig;
use forge_actors::session::{AcceptedSocket, RemoteClient, SessionDeps, Sessions, Subprotocol};
use forge_actors::supervise::{Root, Strategy, SupervisorSpec};
use forge_tests::{Socket, until};
use tokio::net::{TcpListener, TcpStream};

use super::stage::{PATIENCE, Stage};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn connect(sessions: &Sessions) -> Socket {
    let listener = TcpListener::bind((IP, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let permit = sessions.admit(IP).unwrap_or_else(|fault| panic!("refused: {fault}"));
    let remote = RemoteClient { ip: IP, user_agent: None };
    let responses = ByteBudget::new(usize::MAX).client(remote.ip);
    let accepted = AcceptedSocket { stream, early_bytes: Default::default(), permit, responses };
    sessions.open(accepted, Subprotocol::V1, remote).await;
    let mut socket = Socket::upgraded(client).await;
    socket.greet(None).await;
    socket
}

#[tokio::test]
async fn without_a_reactor_sessions_go_elsewhere() {
    const TICKER: &str = "node/reactor/ticker";
    let stage = Stage::open("").await;
    let (sessions, children) = Sessions::new(SessionDeps {
        functions: stage.functions.clone(),
        reactor: stage.reactor.clone(),
        tokens: None,
        node: NodeId::new(),
        config: SessionsConfig::default(),
        contract: None,
    });
    let spec = SupervisorSpec::new(Strategy::OneForOne, children.into());
    let gateway = Root::start("gateway", spec, Arc::clone(&stage.tree)).await.expect("starts");
    let (mut first, mut second) = (connect(&sessions).await, connect(&sessions).await);
    stage.tree.stop_actor(TICKER, PATIENCE).await.expect("it stops");
    for socket in [&mut first, &mut second] {
        let (frames, code) = socket.closed().await;
        assert_eq!(code, Some(1013));
        assert_eq!(
            frames.last().map(|frame| &frame["error"]["code"]),
            Some(&"UNAVAILABLE".into()),
            "{frames:?}"
        );
    }
    assert_eq!(sessions.admit(IP).err().map(|fault| fault.code()), Some(Code::Unavailable));
    stage.tree.restart_actor(TICKER, PATIENCE).await.expect("it starts");
    until("clients may come again", PATIENCE, || async { sessions.admit(IP).ok() }).await;
    // A stop ends the sessions in order.
    let mut last = connect(&sessions).await;
    let (stopped, (frames, code)) = tokio::join!(gateway.stop(PATIENCE), last.closed());
    stopped.expect("stops in order");
    assert_eq!((frames.last().map(|frame| &frame["type"]), code), (Some(&"goAway".into()), Some(1001)));
    stage.close().await;
}
