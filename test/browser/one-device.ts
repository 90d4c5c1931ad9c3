/**
 * Runs in a page before its own scripts: all engines of the page, one after another, get the same device and
 * the kernels that are compiled already. On a software adapter compiling is nearly all of what a load costs.
 */
export function oneDevice(): void {
  let opened: Promise<GPUDevice> | undefined;
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function (descriptor) {
    opened ??= requestDevice.call(this, descriptor);
    return opened;
  };
  // The next engine needs it; buffers are freed one by one before.
  GPUDevice.prototype.destroy = () => undefined;

  const codes = new WeakMap<GPUShaderModule, string>();
  const compiled = new Map<string, Promise<GPUComputePipeline>>();
  const { createShaderModule, createComputePipelineAsync } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    const module = createShaderModule.call(this, descriptor);
    codes.set(module, descriptor.code);
    return module;
  };
  GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
    const { module, constants } = descriptor.compute;
    const key = `${JSON.stringify(constants)} ${codes.get(module)}`;
    const pipeline = compiled.get(key) ?? createComputePipelineAsync.call(this, descriptor);
    compiled.set(key, pipeline);
    return pipeline;
  };
}
