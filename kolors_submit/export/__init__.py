"""What leaves for other programs: LoRA files in each reader's keys (`formats`), ComfyUI workflows (`comfyui`)."""
