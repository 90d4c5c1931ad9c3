/** Most pixels in a row of a canvas: wider ones cost more than anybody can see. */
const MAX_WIDTH = 4096;

/** Fit a canvas to its box in device pixels; drawing is then in CSS pixels. */
export function fitCanvas(canvas: HTMLCanvasElement): {
  readonly context: CanvasRenderingContext2D;
  readonly width: number;
  readonly height: number;
} {
  const { clientWidth, clientHeight } = canvas;
  const width = Math.max(clientWidth, 1);
  const height = Math.max(clientHeight, 1);
  const ratio = Math.min(globalThis.devicePixelRatio || 1, MAX_WIDTH / width);
  const [pixelWidth, pixelHeight] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== pixelWidth) canvas.width = pixelWidth;
  if (canvas.height !== pixelHeight) canvas.height = pixelHeight;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
