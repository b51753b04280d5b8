// The protocol of agent.py for contenders that run on Node.js.
//
// Packages are found through NODE_PATH. A crowd is one process here, as a Node.js application would
// be: its clients are that many promises on as many connections.
"use strict";

const readline = require("node:readline");
const { randomBytes } = require("node:crypto");

const WARM_UPS = 20;
const PROGRESS_MS = 50;

class Unable extends Error {}

const picked = [];
const runs = [];
let count = 0;
let keeps = true;

/** Each job's first line: keeps the seconds since `sent`, with 0 the instant. */
function seen(sent) {
  count += 1;
  if (keeps) picked.push(now() - sent);
}

/** Keeps when a job of that key began and ended, by the clock that all processes share. */
async function running(key, job) {
  const began = clock();
  await job();
  runs.push([key, began, clock()]);
}

const clock = () => Number(process.hrtime.bigint()) / 1e9;
const now = () => (performance.timeOrigin + performance.now()) / 1000;
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const payload = (size) => randomBytes(Math.floor(size / 2) + 1).toString("hex").slice(0, size);
const say = (value) => process.stdout.write(`${typeof value === "string" ? value : JSON.stringify(value)}\n`);

/** Leaves when all has been said: what is in the pipe is lost otherwise. */
const lastWord = (report) => process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));

/** Resolves when we are asked to stop. */
const stopped = new Promise((stop) => {
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop);
});

async function client(agent) {
  await agent.install();
  await agent.open(2);
  say("ready");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { do: verb, ...options } = JSON.parse(line);
    const began = performance.now();
    try {
      if (!agent[verb] && verb in NOT_THERE) throw new Unable(NOT_THERE[verb]);
      const answer = (await agent[verb]?.(options)) ?? null;
      say({ answer, seconds: (performance.now() - began) / 1000 });
    } catch (problem) {
      if (problem instanceof Unable) say({ unable: problem.message });
      else say({ error: String(problem) });
    }
  }
  await agent.close();
  process.exit(0);
}

const NOT_THERE = {
  fill_limited: "no limit of how many jobs of a key run at once",
  graph: "no dependencies between jobs",
  done: "does not keep when a job was done",
  stock: "its tables are not ours to fill",
  cycle: "no verb to claim a single job",
};

async function crowd(agent, { clients, seconds, rate }) {
  await agent.open(clients);
  const one = async () => {
    for (let n = 0; n < WARM_UPS; n += 1) await agent.enqueue({ sent: 0 });
  };
  await Promise.all(Array.from({ length: clients }, one));
  const took = [];
  const end = now() + seconds;
  const work = async () => {
    let due = now();
    while (now() < end) {
      if (rate) {
        due += -Math.log(1 - Math.random()) / (rate / clients);
        await sleep(Math.max(0, due - now()));
      }
      const sent = now();
      await agent.enqueue({ sent });
      took.push(now() - sent);
    }
  };
  await Promise.all(Array.from({ length: clients }, work));
  await agent.close();
  lastWord({ took });
}

async function worker(agent, { concurrency, keep }) {
  keeps = keep;
  let told = 0;
  const parent = process.ppid;
  const tell = setInterval(() => {
    if (process.ppid !== parent) process.exit(1); // nobody listens
    if (count !== told) say(String((told = count)));
  }, PROGRESS_MS);
  const ready = () => say("ready");
  await agent.work(concurrency, ready, stopped);
  clearInterval(tell);
  lastWord({ picked, runs });
}

/** The command line of a contender's file; `make(url, options)` gives its agent. */
function main(make) {
  const { url, options, ...asked } = JSON.parse(process.argv[3]);
  const role = { client, crowd, worker }[process.argv[2]];
  role(make(url, options), asked).catch((problem) => {
    console.error(String(problem?.message ?? problem).split("\n")[0]);
    process.exit(1);
  });
}

module.exports = { Unable, main, payload, running, seen, sleep };
