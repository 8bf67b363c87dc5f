/** A client of the runtime API with a prompt, for haproxy and sluice alike. */

/** One connection; commands one after the other. */
export interface RuntimeClient extends AsyncDisposable {
  /** Sends a command and returns its answer. */
  ask(command: string): Promise<string>;
  /** The same; throws unless the answer is this text. */
  expect(command: string, answer: string): Promise<void>;
}

/** What ends an answer in prompt mode. */
const PROMPT = "\n> ";

/** Connects and switches the prompt on. */
export async function connectRuntime(path: string): Promise<RuntimeClient> {
  let parts: string[] = [];
  let tail = "";
  let answered: (text: string) => void = () => {};
  const decoder = new TextDecoder();
  const socket = await Bun.connect({
    unix: path,
    socket: {
      data(_socket, bytes) {
        const text = decoder.decode(bytes);
        parts.push(text);
        tail = (tail + text).slice(-PROMPT.length);
        if (tail !== PROMPT) return;
        const whole = parts.join("");
        parts = [];
        tail = "";
        answered(whole.slice(0, -PROMPT.length).trim());
      },
    },
  });
  const ask = (command: string): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<string>();
    answered = resolve;
    socket.write(`${command}\n`);
    return promise;
  };
  await ask("prompt");
  return {
    ask,
    async expect(command, wanted) {
      const answer = await ask(command);
      if (answer !== wanted) throw new Error(`${command}: ${answer}`);
    },
    async [Symbol.asyncDispose]() {
      socket.end();
    },
  };
}
