// Starting all stages again: asked for once more, then followed until everything speaks again, through the moment in
// which there are no pages.
import { ask, confirmed } from "./shell.js";

const EVERY_MS = 400;
const PATIENCE_MS = 180000;
const CALM = 5; // looks in a row at which all is well
const pause = () => new Promise((resolve) => setTimeout(resolve, EVERY_MS));

/** Gives whether it was done. say(sentence, state): told what happens; state is "", "good" or "bad". */
export async function restartStages(say) {
  const { takes_effect: changed } = await ask("GET", "/api/restart");
  const effect = changed.length ? ` In effect afterwards: ${changed.join(", ")}.` : " No setting changes by it.";
  const question = `For some seconds no camera is watched and nothing is recorded, and the pages are away for a moment.${effect}`;
  if (!(await confirmed("Start all stages again?", question, "Start again"))) return false;
  const before = new Map((await ask("GET", "/api/health")).stages.map((stage) => [stage.name, stage.restarts]));
  const { instance } = await ask("POST", "/api/restart");
  const began = Date.now();
  let calm = 0;
  say("Cameras, networks, recorder and pictures are being stopped, in this order…", "");
  while (Date.now() - began < PATIENCE_MS) {
    await pause();
    try {
      if ((await ask("GET", "/api/restart")).instance === instance) continue;
      const health = await ask("GET", "/api/health");
      const ill = health.stages.filter((stage) => stage.restarts > (before.get(stage.name) ?? 0)).map((stage) => stage.name);
      if (ill.length) {
        say(`${ill.join(", ")} did not bear it and is started again and again. The page Health, and its log, say why.`, "bad");
        return true;
      }
      calm = health.ready ? calm + 1 : 0;
      if (calm === CALM) {
        say(`All stages speak again, after ${Math.round((Date.now() - began) / 1000)} seconds.`, "good");
        return true;
      }
      if (!calm) say(`The stages are starting. Not there yet: ${health.waiting_for.join(", ")}.`, "");
    } catch {
      say("The pages themselves are being started again…", "");
    }
  }
  say("Not every stage speaks yet. The page Health, and its log, say which and why.", "bad");
  return true;
}
