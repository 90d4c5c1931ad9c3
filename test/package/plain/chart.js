// JSON.stringify(engine.memory().kv), saved by whoever ran the model.
const snapshot = await (await fetch("snapshot.json")).json();
for (const chart of document.querySelectorAll("zig-meter, zig-pyramid")) chart.data = snapshot;
