/** Runs a program: ends the process with the number that its `main` gives, once everything is written. */
export async function runMain(main, argv) {
  // A reader that goes away (`| head`) ends the program as it ends any other.
  process.stdout.on("error", (error) => process.exit(error.code === "EPIPE" ? 141 : 1));
  const exitCode = await main(argv);
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write("", done))),
  );
  process.exit(exitCode);
}
