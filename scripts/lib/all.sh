# shellcheck shell=bash
# The whole set-up library.

lib=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
source "$lib/common.sh"
# shellcheck source=scripts/lib/options.sh
source "$lib/options.sh"
# shellcheck source=scripts/lib/apt.sh
source "$lib/apt.sh"
# shellcheck source=scripts/lib/rust.sh
source "$lib/rust.sh"
# shellcheck source=scripts/lib/wheels.sh
source "$lib/wheels.sh"
# shellcheck source=scripts/lib/build.sh
source "$lib/build.sh"
# shellcheck source=scripts/lib/models.sh
source "$lib/models.sh"
# shellcheck source=scripts/lib/check.sh
source "$lib/check.sh"
# shellcheck source=scripts/lib/python.sh
source "$lib/python.sh"
# shellcheck source=scripts/lib/triton.sh
source "$lib/triton.sh"
# shellcheck source=scripts/lib/software-gpu.sh
source "$lib/software-gpu.sh"
# shellcheck source=scripts/lib/cuda-frames.sh
source "$lib/cuda-frames.sh"
