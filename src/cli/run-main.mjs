/** Runs a program: ends the process with the number that its `main` gives, once everything is written. */
export async function runMain(main, argv) {
  // A reader that goes away (`| head`) ends the program as it ends any other, in order where it is at work.
  process.stdout.on("error", (error) => {
    if (error.code !== "EPIPE") process.exit(1);
    if (process.stdout.listenerCount("error") === 1) process.exit(141);
  });
  const exitCode = await main(argv);
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write("", done))),
  );
  process.exit(exitCode);
}
