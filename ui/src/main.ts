import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { redeem } from "./forge/client";
import { door } from "./session/access.svelte";
import { listen } from "./shell/keyboard";
import { navigation } from "./shell/navigation.svelte";
import { theme } from "./shell/theme.svelte";

theme.restore();
listen();
// The code leaves the address before the address is read.
const opened = door.open(redeem);
navigation.start();
mount(App, { target: document.body });
await opened;
