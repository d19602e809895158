"""The only importer of diffsynth: Kolors' networks from a base folder, and what trains and renders with them.

base          networks of a base folder, each weight checked
conditioning  prompts and sizes as the UNet reads them
schedule      Kolors' noise schedule
lora          LoRA files in three key formats; injection and merging
sampler       from noise to pictures' latents, and their decoding
method        sampler, steps and guidance: the story's, or those of `quality: fast`
draw          pictures of many tasks, shared out over devices
accelerate, cuda_graph, norm, eightbit    a UNet's forward on a GPU in fewer and larger kernels, or in half the memory
plan          how a machine computes a story: dtype, batch, checkpointing, compilation, 8 bits
memory        how arithmetic is done, and memory between models
architecture, conversion    DiffSynth's blocks at a config's widths; weights under both programs' names
"""
