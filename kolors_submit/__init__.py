"""From a story file to a Kolors LoRA submission that anybody can reproduce.

    story   one YAML file: pictures to learn from, training, panels, gate
      data    training pictures, filtered and cropped                 kolors_submit.data
      train   a LoRA                                                  kolors_submit.train
      render  the panels, one seed one picture                        kolors_submit.render
      score   their aesthetic score, held to the gate                 kolors_submit.score
      bundle  checkpoint, card, images, prompts, manifest             kolors_submit.bundle
      check   every rule of the contest and our own                   kolors_submit.bundle

Each stage reads and writes one run folder (`run`) and nothing else. `submission` runs them all, and has two panels
drawn without the LoRA too (`before`); `panels` is how any of them is made; `stale` keeps a stage that is run by itself
from going on with an older story's results. Around them: `write` makes a story,
`explore` tries seeds, `compare` lays runs side by side, `publish` sends a bundle, `reproduce` renders anybody's again,
`importing` makes one of an old entry, and `export` converts LoRAs. `cli` has a file a verb; `engine` is built on
DiffSynth, which nothing above it knows; `weights` knows where a base is. Importing this package, and everything that
only looks at files, imports no torch.
"""

__version__ = "0.1.0"
