import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { redeem } from "./forge/client";
import { browserSession } from "./session/session.svelte";
import { listen } from "./shell/keyboard";
import { navigation } from "./shell/navigation.svelte";
import { theme } from "./shell/theme.svelte";

theme.restore();
listen();
// `open` removes the one-time code from the address before `navigation` reads the address.
const opened = browserSession.open(redeem);
navigation.start();
mount(App, { target: document.body });
await opened;
