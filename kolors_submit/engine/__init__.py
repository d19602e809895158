"""Kolors' networks from a base folder, built from DiffSynth's, and what trains and renders with them.

base, kept    networks of a base folder, each weight checked; what a judge's batch keeps of them in main memory
architecture, blocks, conversion    DiffSynth's blocks at a config's widths; weights under both programs' names
conditioning  prompts and sizes as the UNet reads them
schedule      Kolors' noise schedule
lora          a LoRA in memory, put into a UNet to be trained or merged into its weights
lora_files    LoRA files in three key formats
pickled       torch's own files, read as data
sampler       from noise to pictures' latents, and their decoding
method        sampler, steps and guidance: the story's, or those of `quality: fast`
draw          pictures of many tasks, shared out over devices
cpu_unet      a UNet's forward on a CPU: an image a core, without the Python between its operations
accelerate, fused, cuda_graph    a UNet's forward on a GPU in fewer and larger kernels
half_decoder  the VAE's decoder in float16, which by itself overflows there
lora_unet, lora_stack, lora_block, lora_gradients, merge    fewer and larger kernels for training a LoRA
norm, norm_kernels, residual, eightbit    what both have: one pass over a picture, weights in half the memory
gpu_kernels   which of torch's kernels: attention's, and those that are compiled
plan, planning    how a machine computes a story: dtype, batch, checkpointing, compilation, 8 bits
memory        how arithmetic is done, and memory between models
"""
